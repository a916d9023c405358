//! The tensor types of GGUF by their numbers in a file.

use candle_core::quantized::GgmlDType;
use retcon_kernels::stored::Format;

/// How a type number reads in the file, what it is called, and how it is decoded, if it can be.
///
/// Source: `enum ggml_type` of ggml's `ggml.h`. Numbers that are missing were withdrawn.
const TYPES: &[(u32, &str, Option<Format>)] = &[
    (0, "F32", Some(Format::F32)),
    (1, "F16", Some(Format::F16)),
    (2, "Q4_0", Some(Format::Ggml(GgmlDType::Q4_0))),
    (3, "Q4_1", Some(Format::Ggml(GgmlDType::Q4_1))),
    (6, "Q5_0", Some(Format::Ggml(GgmlDType::Q5_0))),
    (7, "Q5_1", Some(Format::Ggml(GgmlDType::Q5_1))),
    (8, "Q8_0", Some(Format::Ggml(GgmlDType::Q8_0))),
    (9, "Q8_1", Some(Format::Ggml(GgmlDType::Q8_1))),
    (10, "Q2_K", Some(Format::Ggml(GgmlDType::Q2K))),
    (11, "Q3_K", Some(Format::Ggml(GgmlDType::Q3K))),
    (12, "Q4_K", Some(Format::Ggml(GgmlDType::Q4K))),
    (13, "Q5_K", Some(Format::Ggml(GgmlDType::Q5K))),
    (14, "Q6_K", Some(Format::Ggml(GgmlDType::Q6K))),
    (15, "Q8_K", Some(Format::Ggml(GgmlDType::Q8K))),
    (16, "IQ2_XXS", None),
    (17, "IQ2_XS", None),
    (18, "IQ3_XXS", None),
    (19, "IQ1_S", None),
    (20, "IQ4_NL", Some(Format::Iq4Nl)),
    (21, "IQ3_S", None),
    (22, "IQ2_S", None),
    (23, "IQ4_XS", Some(Format::Iq4Xs)),
    (24, "I8", None),
    (25, "I16", None),
    (26, "I32", None),
    (27, "I64", None),
    (28, "F64", None),
    (29, "IQ1_M", None),
    (30, "BF16", Some(Format::BF16)),
    (34, "TQ1_0", None),
    (35, "TQ2_0", None),
    (39, "MXFP4", None),
];

/// The format of the type `number`; the error is its name, for people.
pub(super) fn format(number: u32) -> Result<Format, String> {
    match TYPES.iter().find(|(n, ..)| *n == number) {
        Some((_, _, Some(format))) => Ok(*format),
        Some((_, name, None)) => Err((*name).into()),
        None => Err(format!("number {number}")),
    }
}
