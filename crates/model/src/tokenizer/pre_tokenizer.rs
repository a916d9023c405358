//! Pre-tokenizers of byte-level BPE, which cut text into words before the merges, by their names in GGUF
//! files.

use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, Result, SplitDelimiterBehavior};

/// A pre-tokenizer, and the settings that models with it share.
#[derive(Debug)]
pub(super) struct Pre {
    /// One after the other: each splits what those before it left whole.
    splits: &'static [Step],
    /// Whether GPT-2's pattern comes last.
    gpt2: bool,
    /// Whether text is normalized to NFC first.
    pub(super) nfc: bool,
    /// Whether a word that is a token is that token, whatever the merges would make of it.
    pub(super) ignore_merges: bool,
    /// Whether sequences begin with BOS where the file doesn't say.
    pub(super) add_bos: bool,
}

/// A split between what matches and what doesn't.
#[derive(Clone, Copy, Debug)]
enum Step {
    Split(&'static str),
    /// Each digit alone.
    Digits,
}

impl Pre {
    const fn new(splits: &'static [Step]) -> Self {
        Self { splits, gpt2: false, nfc: false, ignore_merges: false, add_bos: false }
    }

    const fn gpt2(self) -> Self {
        Self { gpt2: true, ..self }
    }

    const fn nfc(self) -> Self {
        Self { nfc: true, ..self }
    }

    const fn ignore_merges(self) -> Self {
        Self { ignore_merges: true, ..self }
    }

    const fn add_bos(self) -> Self {
        Self { add_bos: true, ..self }
    }

    /// The pre-tokenizer that GGUF files name `pre`, where it is known.
    pub(super) fn of(pre: &str) -> Option<&'static Self> {
        PRE.iter().find(|(names, _)| names.contains(&pre)).map(|(_, words)| words)
    }

    pub(super) fn pre_tokenizer(&self) -> Result<PreTokenizerWrapper> {
        let bytes = ByteLevel::new(false, false, self.gpt2);
        if self.splits.is_empty() {
            return Ok(bytes.into());
        }
        let mut steps = self.splits.iter().map(|split| split.step()).collect::<Result<Vec<_>>>()?;
        steps.push(bytes.into());
        Ok(Sequence::new(steps).into())
    }
}

impl Step {
    fn step(self) -> Result<PreTokenizerWrapper> {
        Ok(match self {
            Self::Digits => Digits::new(true).into(),
            Self::Split(pattern) => {
                let pattern = SplitPattern::Regex(pattern.into());
                Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?.into()
            }
        })
    }
}

// Patterns are those of the `tokenizer.json` of the models that brought them; llama.cpp writes some
// in another way, as its engine has no classes such as `\p{Lu}`.

/// Llama 3: up to three digits together.
const LLAMA3: Step = Step::Split(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

/// Qwen 2: each digit alone.
const QWEN2: Step = Step::Split(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

/// Mistral's Tekken, as of Mistral Nemo: a capital begins a word, each digit alone.
const TEKKEN: Step = Step::Split(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

/// GPT-4o, which Phi 4 mini has too: a capital begins a word, and `'s` and the like end one.
const GPT4O: Step = Step::Split(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

const LINE_BREAK: Step = Step::Split(r"[\r\n]");

/// DeepSeek's first models: Chinese, Japanese and Korean.
const EAST_ASIAN: Step = Step::Split(r"[一-龥\x{800}-一가-\x{D7FF}]+");

/// DeepSeek LLM, where letters are those that have a case, of the scripts that it was made for.
/// Those with an escape are of two spellings, which an editor could take for each other.
const DEEPSEEK_LLM: &[Step] = &[
    LINE_BREAK,
    Step::Split(
        r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\x{1F7D}ᾀ-ᾴᾶ-ᾼ\x{1FBE}ῂ-ῄῆ-ῌῐ-\x{1FD3}ῖ-\x{1FDB}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\x{2126}ℨ\x{212A}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
    ),
    Step::Split(r"\s?[!-/:-~！-／：-～‘-‟\x{3000}-。]+"),
    Step::Split(r"\s+$"),
    EAST_ASIAN,
    Step::Digits,
];

/// DeepSeek Coder.
const DEEPSEEK_CODER: &[Step] =
    &[LINE_BREAK, Step::Split(r"\s?\p{L}+"), Step::Split(r"\s?\p{P}+"), EAST_ASIAN, Step::Digits];

/// DeepSeek V3 and R1.
const DEEPSEEK_V3: &[Step] = &[
    Step::Split(r"\p{N}{1,3}"),
    Step::Split(r"[一-龥\x{3040}-ゟ゠-ヿ]+"),
    Step::Split(
        r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
    ),
];

/// The values of `tokenizer.ggml.pre`, as llama.cpp's `llama-vocab.cpp` groups them. A name that
/// isn't here is of a pattern that nobody has compared, and would give a model tokens that it never saw.
const PRE: &[(&[&str], Pre)] = &[
    (
        &[
            "",
            "default",
            "gpt-2",
            "phi-2",
            "olmo",
            "mpt",
            "jais",
            "trillion",
            "exaone4",
            "gigachat",
            "mellum",
            "a.x-4.0",
            "granite-docling",
            "modern-bert",
            "jina-es",
            "jina-de",
            "jina-v2-es",
            "jina-v2-de",
            "jina-v2-code",
        ],
        Pre::new(&[]).gpt2(),
    ),
    (
        &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
        Pre::new(&[Step::Digits]).gpt2(),
    ),
    (&["dbrx", "smaug-bpe"], Pre::new(&[LLAMA3])),
    (
        &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "lfm2", "midm-2.0"],
        Pre::new(&[LLAMA3]).ignore_merges().add_bos(),
    ),
    (&["qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "kormo"], Pre::new(&[QWEN2]).nfc()),
    (&["tekken"], Pre::new(&[TEKKEN]).ignore_merges().add_bos()),
    (&["gpt-4o", "llama4"], Pre::new(&[GPT4O])),
    (&["deepseek-llm"], Pre::new(DEEPSEEK_LLM)),
    (&["deepseek-coder"], Pre::new(DEEPSEEK_CODER)),
    (&["deepseek-v3"], Pre::new(DEEPSEEK_V3)),
];

#[cfg(test)]
mod tests {
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    use super::*;

    const TEXT: &str = "It'S camelCase's 12345 λόγος,\n\n  中文 (x)=½  ";

    /// The words of [`TEXT`], with a bar between them, as the library of the same name finds them in
    /// Python, by the `tokenizer.json` of the models.
    const EXPECTED: &[(&str, &str)] = &[
        ("gpt-2", "It|'|S| camelCase|'s| 12345| λόγος|,|\n\n | 中文| (|x|)=|½|  "),
        ("smollm", "It|'|S| camelCase|'s| |1|2|3|4|5| λόγος|,|\n\n | 中文| (|x|)=|½|  "),
        ("llama-bpe", "It|'S| camelCase|'s| |123|45| λόγος|,\n\n| | 中文| (|x|)=|½|  "),
        ("qwen2", "It|'S| camelCase|'s| |1|2|3|4|5| λόγος|,\n\n| | 中文| (|x|)=|½|  "),
        ("tekken", "It|'S| camel|Case|'s| |1|2|3|4|5| λόγος|,\n\n| | 中文| (|x|)=|½|  "),
        ("gpt-4o", "It'S| camel|Case's| |123|45| λόγος|,\n\n| | 中文| (|x|)=|½|  "),
        ("deepseek-llm", "It|'|S| camelCase|'|s| |1|2|3|4|5| λόγος|,|\n|\n|  |中文| (|x|)=|½|  "),
        (
            "deepseek-coder",
            "It|'|S| camelCase|'|s| |1|2|3|4|5| λόγος|,|\n|\n| | |中文| (|x|)|=|½|  ",
        ),
        ("deepseek-v3", "It|'S| camelCase|'s| |123|45| λόγος|,\n\n|  |中文| (|x|)=|½|  "),
    ];

    fn words(pre: &str) -> String {
        let mut text = PreTokenizedString::from(TEXT);
        let words = Pre::of(pre).unwrap().pre_tokenizer().unwrap();
        words.pre_tokenize(&mut text).unwrap();
        let splits = text.get_splits(OffsetReferential::Original, OffsetType::Byte);
        let words: Vec<_> = splits.iter().map(|(_, (start, end), _)| &TEXT[*start..*end]).collect();
        words.join("|")
    }

    #[test]
    fn text_is_cut_as_the_models_were_trained() {
        for (pre, expected) in EXPECTED {
            assert_eq!(words(pre), *expected, "{pre}");
        }
    }

    #[test]
    fn every_way_can_be_built_and_has_its_names_to_itself() {
        let names: Vec<_> = PRE.iter().flat_map(|(names, _)| *names).collect();
        for (i, name) in names.iter().enumerate() {
            assert!(!names[..i].contains(name), "{name}");
            assert_eq!(words(name).replace('|', ""), TEXT, "{name}");
        }
        assert!(Pre::of("nobody-knows").is_none());
    }
}
