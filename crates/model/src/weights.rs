//! The weights of a model: each a frozen base, updates beside it, or an unknown in its place.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};
use retcon_kernels::autograd::Var;
use retcon_kernels::linear::{Matrix, add_bias, linear};
use retcon_kernels::norm::{layer_norm, rms_norm};
use retcon_kernels::rows::gather_rows;
use retcon_kernels::weight::Weight;

use crate::error::{Error, Result};
use crate::spec::Norm;
use crate::update::Update;
use crate::weight_id::WeightId;

/// The type that hidden states have, on every device.
pub const HIDDEN: DType = DType::F32;

/// All weights of a model. A clone shares the numbers.
#[derive(Clone, Debug)]
pub struct Weights {
    params: BTreeMap<WeightId, Param>,
    device: Device,
}

/// One weight. What the model computes with is the unknown where there is one, otherwise the base
/// and all updates.
#[derive(Clone, Debug)]
pub struct Param {
    base: Weight,
    /// The sum of all updates.
    update: Option<Update>,
    unknown: Option<Var>,
    /// Unknown factors of one more update, `[d_out, rank]` and `[rank, d_in]`.
    beside: Option<(Var, Var)>,
    /// Base and updates in one, made when something needs them so.
    merged: OnceLock<Weight>,
}

impl Param {
    /// A frozen weight.
    #[must_use]
    pub fn new(base: Weight) -> Self {
        Self { base, update: None, unknown: None, beside: None, merged: OnceLock::new() }
    }

    /// The weight without its updates.
    pub fn base(&self) -> &Weight {
        &self.base
    }

    /// The sum of all updates, where there is one.
    pub fn update(&self) -> Option<&Update> {
        self.update.as_ref()
    }

    /// Whether both are the same numbers in the same place, and none is unknown.
    fn is(&self, other: &Self) -> bool {
        let is_known = |param: &Self| param.unknown.is_none() && param.beside.is_none();
        let same_update = match (&self.update, &other.update) {
            (None, None) => true,
            (Some(a), Some(b)) => a.is(b),
            _ => false,
        };
        is_known(self) && is_known(other) && self.base.is(&other.base) && same_update
    }

    /// The base with all updates, `f32`, on `device`.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn to_tensor(&self, device: &Device) -> Result<Tensor> {
        let mut sum = self.base.to_tensor(DType::F32, device)?;
        if let Some(update) = &self.update {
            sum = sum.add(&update.to_dense()?)?;
        }
        Ok(sum)
    }

    /// The one matrix or vector that stands for base and updates.
    fn merged(&self, device: &Device) -> Result<&Weight> {
        if self.update.is_none() {
            return Ok(&self.base);
        }
        if self.merged.get().is_none() {
            let merged = self.to_tensor(device)?;
            // Another thread may have been first, with the same numbers.
            let _ = self.merged.set(merged.into());
        }
        Ok(self.merged.get().expect("set above"))
    }
}

impl Weights {
    /// Weights on `device`.
    #[must_use]
    pub fn new(params: BTreeMap<WeightId, Param>, device: Device) -> Self {
        Self { params, device }
    }

    /// The same weights without any update.
    #[must_use]
    pub(crate) fn without_updates(&self) -> Self {
        let params = self.params.iter().map(|(&id, param)| (id, Param::new(param.base.clone())));
        Self { params: params.collect(), device: self.device.clone() }
    }

    /// Whether there is a weight `id`.
    #[must_use]
    pub fn has(&self, id: WeightId) -> bool {
        self.params.contains_key(&id)
    }

    /// All weights, in the order of their names' parts.
    pub fn iter(&self) -> impl Iterator<Item = (WeightId, &Param)> {
        self.params.iter().map(|(&id, param)| (id, param))
    }

    /// The weights that are not, or not for sure, the same numbers as those of `other`.
    pub(crate) fn changed<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = WeightId> + 'a {
        let is_same =
            |id: WeightId, param: &Param| other.params.get(&id).is_some_and(|p| p.is(param));
        let mine = self.iter().filter(move |&(id, param)| !is_same(id, param)).map(|(id, _)| id);
        mine.chain(other.iter().map(|(id, _)| id).filter(|&id| !self.has(id)))
    }

    /// The weight `id`.
    ///
    /// # Errors
    /// [`Error::NoWeight`].
    pub fn get(&self, id: WeightId) -> Result<&Param> {
        self.params.get(&id).ok_or(Error::NoWeight { id })
    }

    fn get_mut(&mut self, id: WeightId) -> Result<&mut Param> {
        self.params.get_mut(&id).ok_or(Error::NoWeight { id })
    }

    /// Adds the weight `id`, or puts it in the place of the one that is there.
    pub(crate) fn insert(&mut self, id: WeightId, weight: Weight) {
        self.params.insert(id, Param::new(weight));
    }

    /// Puts the numbers of `weight` in the place of the weight `id` and its updates.
    ///
    /// # Errors
    /// [`Error::NoWeight`], or [`Error::TensorMismatch`] where the shapes differ.
    pub(crate) fn replace(&mut self, id: WeightId, weight: &Tensor) -> Result<()> {
        let param = self.get_mut(id)?;
        check_shape(id, param.base.dims(), weight.dims())?;
        *param = Param::new(weight.contiguous()?.into());
        Ok(())
    }

    /// Lays `update` beside the weight `id`.
    ///
    /// # Errors
    /// [`Error::NoWeight`], or [`Error::TensorMismatch`] where the shapes differ.
    pub(crate) fn add_update(&mut self, id: WeightId, update: &Update) -> Result<()> {
        let update = update.to_device(&self.device)?;
        let param = self.get_mut(id)?;
        check_shape(id, param.base.dims(), &update.shape())?;
        // Many small updates in one cost a pass no more than it; a first one stays as it was made.
        param.update = Some(match &param.update {
            Some(earlier) => earlier.plus(&update)?,
            None => update,
        });
        param.merged = OnceLock::new();
        Ok(())
    }

    /// Puts `unknown` in the place of the weight `id`.
    ///
    /// # Errors
    /// [`Error::NoWeight`].
    pub(crate) fn set_unknown(&mut self, id: WeightId, unknown: Var) -> Result<()> {
        self.get_mut(id)?.unknown = Some(unknown);
        Ok(())
    }

    /// Lays the product `left right` of unknowns beside the weight `id`.
    ///
    /// # Errors
    /// [`Error::NoWeight`].
    pub(crate) fn set_beside(&mut self, id: WeightId, left: Var, right: Var) -> Result<()> {
        self.get_mut(id)?.beside = Some((left, right));
        Ok(())
    }

    /// `x wᵀ + bias` by the matrix `id` and its bias, where it has one; `x` `[n, d_in]`.
    pub(crate) fn linear(&self, id: WeightId, x: &Var) -> Result<Var> {
        let param = self.get(id)?;
        let mut y = match &param.unknown {
            Some(unknown) => linear(x, Matrix::Trainable(unknown), None)?,
            None => {
                let mut y = linear(x, Matrix::Frozen(&param.base), None)?;
                if let Some(update) = &param.update {
                    y = update.add_to(&y, x)?;
                }
                y
            }
        };
        if let Some((left, right)) = &param.beside {
            let inner = linear(x, Matrix::Trainable(right), None)?;
            y = linear(&inner, Matrix::Trainable(left), Some(&y))?;
        }
        if let Some(bias) = self.bias(id)? {
            y = add_bias(&y, &bias)?;
        }
        Ok(y)
    }

    /// The matrix `id` in one piece.
    pub(crate) fn matrix(&self, id: WeightId) -> Result<Matrix<'_>> {
        let param = self.get(id)?;
        Ok(match &param.unknown {
            Some(unknown) => Matrix::Trainable(unknown),
            None => Matrix::Frozen(param.merged(&self.device)?),
        })
    }

    /// The vector `id`.
    pub(crate) fn vector(&self, id: WeightId) -> Result<Var> {
        let param = self.get(id)?;
        Ok(match &param.unknown {
            Some(unknown) => unknown.clone(),
            None => Var::constant(param.merged(&self.device)?.to_tensor(HIDDEN, &self.device)?),
        })
    }

    /// The bias of the weight `id`, where it has one.
    pub(crate) fn bias(&self, id: WeightId) -> Result<Option<Var>> {
        let bias = id.part.bias().map(|part| WeightId { part, ..id });
        bias.filter(|&bias| self.has(bias)).map(|bias| self.vector(bias)).transpose()
    }

    /// The rows `rows` of the table `id`, `[rows, d]`.
    ///
    /// # Errors
    /// Where there is no such weight, a row is past the end, or the device fails.
    pub fn rows(&self, id: WeightId, rows: &[u32]) -> Result<Var> {
        let param = self.get(id)?;
        if let Some(unknown) = &param.unknown {
            return Ok(gather_rows(unknown, rows)?);
        }
        let mut sum = param.base.rows(rows, HIDDEN, &self.device)?;
        if let Some(update) = &param.update {
            sum = sum.add(&update.rows(&Tensor::new(rows, &self.device)?)?)?;
        }
        Ok(Var::constant(sum))
    }

    /// `x` normalized by the weight `id` (and its bias); `x` `[n, d]`.
    pub(crate) fn norm(&self, id: WeightId, norm: Norm, x: &Var) -> Result<Var> {
        let weight = self.vector(id)?;
        Ok(match norm {
            Norm::Rms { eps } => rms_norm(x, &weight, eps)?,
            Norm::Layer { eps } => layer_norm(x, &weight, self.bias(id)?.as_ref(), eps)?,
        })
    }
}

fn check_shape(id: WeightId, expected: &[usize], found: &[usize]) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::TensorMismatch {
        name: id.to_string(),
        expected: format!("{expected:?}"),
        found: format!("{found:?}"),
    })
}
