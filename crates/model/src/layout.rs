//! Which tensor of a file holds which weight, and in what form: the whole of a family's naming.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};
use retcon_kernels::stored::Stored;
use retcon_kernels::weight::Weight;

use crate::error::Result;
use crate::spec::Spec;
use crate::weight_id::{Part, WeightId};

/// What stands before the names of a file's tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Before those of a model's body.
    pub body: &'static str,
    /// Before those that stand beside it, such as a head.
    pub beside: &'static str,
}

/// What stands before the names of a language model inside of one that reads more than text.
pub const INSIDE: &[Prefix] = &[
    Prefix { body: "language_model.model.", beside: "language_model." },
    Prefix { body: "model.language_model.", beside: "" },
    Prefix { body: "model.text_model.", beside: "" },
];

/// The table from weights to the tensors of a file.
#[derive(Clone, Debug)]
pub struct Layout {
    /// What may stand before the names of a model's body, and [`INSIDE`] after them; the first under which
    /// tensors are found is used.
    pub prefixes: &'static [&'static str],
    /// Other spellings of parts of names, as older programs wrote them: `(usual, other)`.
    pub spellings: &'static [(&'static str, &'static str)],
    /// One line a weight.
    pub rules: Vec<Rule>,
    /// Tensors beside the body that some files have, and that repeat a weight for programs that look
    /// for it there: never read, but written with it.
    pub copies: &'static [(Part, &'static str)],
    /// What Hugging Face calls a model that has all of them, where files may lack a head.
    pub architecture: Option<&'static str>,
    /// Endings and beginnings of tensors that are no weights: buffers, heads for other tasks.
    pub ignored: &'static [&'static str],
}

/// Where one weight lies.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The weight.
    pub part: Part,
    /// The tensor's name, with `{b}` for the stored block, or `{g}` for its group and `{i}` for its
    /// place in that. Where it starts with `/`, it stands beside a model's body.
    pub name: &'static str,
    /// How it lies there.
    pub form: Form,
}

/// How a weight lies in a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Plain,
    /// Less one, as a norm that multiplies by `1 + w` is stored.
    LessOne,
    /// `[d_in, d_out]`.
    Transposed,
    /// The rows from `start` on.
    Rows {
        /// The first of them.
        start: usize,
        /// How many the tensor has.
        of: usize,
    },
    /// The rows of share `index` of `of` equal ones.
    Share {
        /// Which share.
        index: usize,
        /// Of how many.
        of: usize,
    },
    /// The rows of share `index` of `of` equal ones, in each of `groups` runs of rows.
    ShareOfEach {
        /// How many runs, as a rule one a head.
        groups: usize,
        /// Which share.
        index: usize,
        /// Of how many.
        of: usize,
    },
    /// The columns of share `index` of `of` equal ones of a `[d_in, of * d_out]` tensor.
    TransposedShare {
        /// Which share.
        index: usize,
        /// Of how many.
        of: usize,
    },
}

impl Layout {
    /// All weights of a model of this layout.
    #[must_use]
    pub fn ids<'a>(&'a self, spec: &Spec) -> Vec<(WeightId, &'a Rule)> {
        let ids = |rule: &'a Rule| {
            let part = rule.part;
            let blocks = if part.is_per_block() { spec.n_stored_blocks() } else { 1 };
            (0..blocks)
                .map(move |b| (WeightId { block: part.is_per_block().then_some(b), part }, rule))
        };
        self.rules.iter().flat_map(ids).collect()
    }
}

impl Rule {
    /// The weight `part` in the tensor `name`, in the form `form`.
    #[must_use]
    pub fn new(part: Part, name: &'static str, form: Form) -> Self {
        Self { part, name, form }
    }

    /// The tensor's name for `id`, after `prefix`.
    #[must_use]
    pub fn tensor_name(&self, spec: &Spec, id: WeightId, prefix: Prefix) -> String {
        let name = match self.name.strip_prefix('/') {
            Some(name) => format!("{}{name}", prefix.beside),
            None => format!("{}{}", prefix.body, self.name),
        };
        match id.block {
            Some(block) => {
                let n_inner = spec.groups.map_or(1, |groups| groups.n_inner);
                let (group, inner) = (block / n_inner, block % n_inner);
                name.replace("{b}", &block.to_string())
                    .replace("{g}", &group.to_string())
                    .replace("{i}", &inner.to_string())
            }
            None => name,
        }
    }
}

impl Form {
    /// The shape of the tensor that holds a weight of `shape` in this form.
    #[must_use]
    pub fn tensor_shape(self, shape: &[usize]) -> Vec<usize> {
        let mut shape = shape.to_vec();
        match self {
            Self::Rows { of, .. } => shape[0] = of,
            Self::Share { of, .. } | Self::TransposedShare { of, .. } => shape[0] *= of,
            Self::ShareOfEach { of, .. } => shape[0] *= of,
            Self::Plain | Self::LessOne | Self::Transposed => {}
        }
        if self.is_transposed() {
            shape.reverse();
        }
        shape
    }

    /// The runs of rows of the tensor, turned upright, that hold a weight of `n` rows, one after
    /// another.
    fn runs(self, n: usize) -> Vec<Range<usize>> {
        let (n_runs, first, stride) = match self {
            Self::Plain | Self::LessOne | Self::Transposed => (1, 0, n),
            Self::Rows { start, of: _ } => (1, start, n),
            Self::Share { index, of: _ } | Self::TransposedShare { index, of: _ } => {
                (1, index * n, n)
            }
            Self::ShareOfEach { groups, index, of } => {
                (groups, index * n / groups, of * n / groups)
            }
        };
        (0..n_runs).map(|i| first + i * stride).map(|at| at..at + n / n_runs).collect()
    }

    fn is_transposed(self) -> bool {
        matches!(self, Self::Transposed | Self::TransposedShare { .. })
    }

    /// The weight in `tensor`, over the same memory where its rows lie ready there.
    ///
    /// # Errors
    /// Where decoding fails.
    pub fn read(self, tensor: &Stored, shape: &[usize]) -> Result<Weight> {
        if self == Self::Plain {
            return Ok(Weight::Stored(tensor.clone()));
        }
        if self.is_transposed() || self == Self::LessOne || shape.len() != 2 {
            let dense = tensor.to_tensor(DType::F32, &Device::Cpu)?;
            return Ok(Weight::Dense(self.of_dense(&dense, shape[0])?));
        }
        let runs: Vec<Stored> =
            self.runs(shape[0]).into_iter().map(|run| tensor.rows(run)).collect();
        if let [run] = runs.as_slice() {
            return Ok(Weight::Stored(run.clone()));
        }
        // Copied, but not decoded.
        let bytes: Vec<u8> = runs.iter().flat_map(|run| run.bytes().to_vec()).collect();
        Ok(Weight::Stored(Stored::new(tensor.format(), shape.to_vec(), bytes.into())?))
    }

    /// The weight of `n` rows in the dense `tensor`, `[d_out, d_in]` or `[d_out]`.
    fn of_dense(self, tensor: &Tensor, n: usize) -> Result<Tensor> {
        let upright = self.upright(tensor)?;
        let runs = self.runs(n).into_iter().map(|run| upright.narrow(0, run.start, run.len()));
        let weight = Tensor::cat(&runs.collect::<Result<Vec<_>, _>>()?, 0)?;
        Ok(match self {
            Self::LessOne => weight.affine(1.0, 1.0)?,
            _ => weight.contiguous()?,
        })
    }

    /// `tensor` (dense, of a file) with `weight` in the place that this form gives it.
    ///
    /// # Errors
    /// Where shapes don't fit.
    pub fn write(self, tensor: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let upright = self.upright(tensor)?;
        let weight = match self {
            Self::LessOne => weight.affine(1.0, -1.0)?,
            _ => weight.clone(),
        };
        let (mut pieces, mut end, mut written) = (Vec::new(), 0, 0);
        for run in self.runs(weight.dim(0)?) {
            pieces.push(upright.narrow(0, end, run.start - end)?);
            pieces.push(weight.narrow(0, written, run.len())?);
            (end, written) = (run.end, written + run.len());
        }
        pieces.push(upright.narrow(0, end, upright.dim(0)? - end)?);
        pieces.retain(|piece| piece.elem_count() > 0);
        let written = Tensor::cat(&pieces, 0)?;
        Ok(self.upright(&written)?.contiguous()?)
    }

    /// `tensor` with the weight's rows as rows, or such a one as it is stored.
    fn upright(self, tensor: &Tensor) -> Result<Tensor> {
        match tensor.rank() {
            2 if self.is_transposed() => Ok(tensor.t()?),
            _ => Ok(tensor.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back_what_it_wrote() {
        let device = Device::Cpu;
        for form in [
            Form::Plain,
            Form::LessOne,
            Form::Transposed,
            Form::Rows { start: 3, of: 7 },
            Form::Share { index: 1, of: 3 },
            Form::ShareOfEach { groups: 2, index: 1, of: 3 },
            Form::TransposedShare { index: 2, of: 3 },
        ] {
            let file = Tensor::zeros(form.tensor_shape(&[2, 5]), DType::F32, &device).unwrap();
            let weight = Tensor::arange(0f32, 10., &device).unwrap().reshape((2, 5)).unwrap();
            let written = form.write(&file, &weight).unwrap();
            assert_eq!(written.dims(), file.dims());
            let read = form.of_dense(&written, 2).unwrap();
            assert_eq!(read.to_vec2::<f32>().unwrap(), weight.to_vec2::<f32>().unwrap());
            let less = if form == Form::LessOne { 10.0 } else { 0.0 };
            assert_eq!(written.sum_all().unwrap().to_scalar::<f32>().unwrap(), 45.0 - less);
        }
    }
}
