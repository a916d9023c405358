//! Which tensor of a file holds which weight, and in what form: the whole of a family's naming.

use candle_core::{DType, Device, Tensor};
use retcon_kernels::stored::Stored;
use retcon_kernels::weight::Weight;

use crate::error::Result;
use crate::spec::Spec;
use crate::weight_id::{Part, WeightId};

/// The table from weights to the tensors of a file.
#[derive(Clone, Debug)]
pub struct Layout {
    /// What may stand before every name; the first under which tensors are found is used.
    pub prefixes: &'static [&'static str],
    /// Other spellings of parts of names, as older programs wrote them: `(usual, other)`.
    pub spellings: &'static [(&'static str, &'static str)],
    /// One line a weight.
    pub rules: Vec<Rule>,
    /// Tensors by full name that some files have, and that repeat a weight for programs that look
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
    /// place in that; the prefix applies unless it starts with `/`.
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
    pub fn new(part: Part, name: &'static str, form: Form) -> Self {
        Self { part, name, form }
    }

    /// The tensor's name for `id`, after `prefix`.
    pub fn tensor_name(&self, spec: &Spec, id: WeightId, prefix: &str) -> String {
        let name = match self.name.strip_prefix('/') {
            Some(absolute) => absolute.to_owned(),
            None => format!("{prefix}{}", self.name),
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
    pub fn tensor_shape(self, shape: &[usize]) -> Vec<usize> {
        let mut shape = shape.to_vec();
        if let Self::Share { of, .. }
        | Self::ShareOfEach { of, .. }
        | Self::TransposedShare { of, .. } = self
        {
            shape[0] *= of;
        }
        if matches!(self, Self::Transposed | Self::TransposedShare { .. }) {
            shape.reverse();
        }
        shape
    }

    /// The weight in `tensor`, over the same memory where its rows lie ready there.
    ///
    /// # Errors
    /// Where decoding fails.
    pub fn read(self, tensor: &Stored, shape: &[usize]) -> Result<Weight> {
        match self {
            Self::Plain => Ok(Weight::Stored(tensor.clone())),
            Self::Share { index, of: _ } if shape.len() == 2 => {
                Ok(Weight::Stored(tensor.rows(index * shape[0]..(index + 1) * shape[0])))
            }
            Self::ShareOfEach { groups, index, of } if shape.len() == 2 => {
                // Copied, but not decoded.
                let n = shape[0] / groups;
                let starts = (0..groups).map(|group| (group * of + index) * n);
                let rows = starts.map(|start| tensor.rows(start..start + n));
                let bytes: Vec<u8> = rows.flat_map(|rows| rows.bytes().to_vec()).collect();
                Ok(Weight::Stored(Stored::new(tensor.format(), shape.to_vec(), bytes.into())?))
            }
            _ => Ok(Weight::Dense(self.of_dense(&tensor.to_tensor(DType::F32, &Device::Cpu)?)?)),
        }
    }

    /// The weight in the dense `tensor`, `[d_out, d_in]` or `[d_out]`.
    fn of_dense(self, tensor: &Tensor) -> Result<Tensor> {
        let upright = match self {
            Self::Transposed | Self::TransposedShare { .. } if tensor.rank() == 2 => tensor.t()?,
            _ => tensor.clone(),
        };
        Ok(match self {
            Self::Share { index, of } | Self::TransposedShare { index, of } => {
                let n = upright.dim(0)? / of;
                upright.narrow(0, index * n, n)?.contiguous()?
            }
            Self::ShareOfEach { groups, index, of } => {
                let share = split(&upright, groups, of)?.narrow(1, index, 1)?.contiguous()?;
                let mut dims = upright.dims().to_vec();
                dims[0] /= of;
                share.reshape(dims)?
            }
            Self::LessOne => upright.affine(1.0, 1.0)?,
            _ => upright.contiguous()?,
        })
    }

    /// `tensor` (dense, of a file) with `weight` in the place that this form gives it.
    ///
    /// # Errors
    /// Where shapes don't fit.
    pub fn write(self, tensor: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let transposed = matches!(self, Self::Transposed | Self::TransposedShare { .. });
        let transposed = transposed && tensor.rank() == 2;
        let upright = if transposed { tensor.t()? } else { tensor.clone() };
        let upright = match self {
            Self::Share { index, of } | Self::TransposedShare { index, of } => {
                let n = upright.dim(0)? / of;
                let mut parts: Vec<Tensor> =
                    (0..of).map(|i| upright.narrow(0, i * n, n)).collect::<Result<_, _>>()?;
                parts[index] = weight.clone();
                Tensor::cat(&parts, 0)?
            }
            Self::ShareOfEach { groups, index, of } => {
                let runs = split(&upright, groups, of)?;
                let mut parts: Vec<Tensor> =
                    (0..of).map(|i| runs.narrow(1, i, 1)).collect::<Result<_, _>>()?;
                parts[index] = split(weight, groups, 1)?;
                Tensor::cat(&parts, 1)?.reshape(upright.dims())?
            }
            Self::LessOne => weight.affine(1.0, -1.0)?,
            _ => weight.clone(),
        };
        let tensor = if transposed { upright.t()? } else { upright };
        Ok(tensor.contiguous()?)
    }
}

/// `[groups * of * n, ...]` as `[groups, of, n, ...]`.
fn split(tensor: &Tensor, groups: usize, of: usize) -> Result<Tensor> {
    let dims = tensor.dims();
    let mut split = vec![groups, of, dims[0] / (groups * of)];
    split.extend(&dims[1..]);
    Ok(tensor.reshape(split)?)
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
            Form::Share { index: 1, of: 3 },
            Form::ShareOfEach { groups: 2, index: 1, of: 3 },
            Form::TransposedShare { index: 2, of: 3 },
        ] {
            let file = Tensor::zeros(form.tensor_shape(&[2, 5]), DType::F32, &device).unwrap();
            let weight = Tensor::arange(0f32, 10., &device).unwrap().reshape((2, 5)).unwrap();
            let written = form.write(&file, &weight).unwrap();
            assert_eq!(written.dims(), file.dims());
            let read = form.of_dense(&written).unwrap();
            assert_eq!(read.to_vec2::<f32>().unwrap(), weight.to_vec2::<f32>().unwrap());
            let less = if form == Form::LessOne { 10.0 } else { 0.0 };
            assert_eq!(written.sum_all().unwrap().to_scalar::<f32>().unwrap(), 45.0 - less);
        }
    }
}
