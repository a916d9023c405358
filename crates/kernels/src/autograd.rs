//! Reverse-mode differentiation that records only what an unknown took part in.
//!
//! An operation computes its value and [records](Var::record) how to go back. Where none of its
//! inputs depends on an unknown, nothing is kept and backward never visits it: frozen means free.
//! Gradients gather in [`Slot`]s, into which an operation multiplies or adds in place.

#![expect(clippy::disallowed_types, reason = "slots are looked up, and nodes sorted by age")]

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};

use crate::cpu;
use crate::error::{Error, Result};
use crate::pool::in_pool;
use crate::real::Real;

/// A tensor that knows how it came from the unknowns, if it did.
#[derive(Clone)]
pub struct Var {
    value: Tensor,
    node: Option<Arc<Node>>,
}

impl Var {
    /// A tensor of which no gradient is wanted.
    #[must_use]
    pub fn constant(value: Tensor) -> Self {
        Self { value: value.detach(), node: None }
    }

    /// A tensor to differentiate by.
    #[must_use]
    pub fn unknown(value: Tensor) -> Self {
        let node = Node::new(&value, Vec::new(), None);
        Self { value: value.detach(), node: Some(node) }
    }

    /// The result `value` of an operation on `inputs`.
    ///
    /// `backward` gets the gradient of the objective by `value` (same shape and dtype, contiguous)
    /// and adds its part to the slot of each input that is tracked. It is dropped unused where no
    /// input is.
    pub fn record(
        value: Tensor,
        inputs: &[&Self],
        backward: impl FnOnce(&Tensor, &mut Inputs<'_>) -> Result<()> + Send + 'static,
    ) -> Self {
        if !inputs.iter().any(|input| input.is_tracked()) {
            return Self::constant(value);
        }
        let nodes = inputs.iter().map(|input| input.node.clone()).collect();
        let node = Node::new(&value, nodes, Some(Box::new(backward)));
        Self { value: value.detach(), node: Some(node) }
    }

    /// The tensor.
    #[must_use]
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The tensor, without its history.
    #[must_use]
    pub fn into_value(self) -> Tensor {
        self.value
    }

    /// Whether it depends on an unknown.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        self.node.is_some()
    }

    /// The gradients of this scalar by `unknowns`, in their order.
    ///
    /// # Errors
    /// [`Error::NoGradient`] where it does not depend on one of them, [`Error::TraceUsed`] where
    /// part of its history was walked before, and what the operations themselves report.
    pub fn gradients(&self, unknowns: &[&Self]) -> Result<Vec<Tensor>> {
        let start = self.value.ones_like()?;
        self.gradients_from(start, unknowns)
    }

    /// The gradients of `sum(self * start)` by `unknowns`, in their order.
    ///
    /// # Errors
    /// As [`Var::gradients`].
    pub fn gradients_from(&self, start: Tensor, unknowns: &[&Self]) -> Result<Vec<Tensor>> {
        let mut slots = HashMap::new();
        if let Some(root) = &self.node {
            slots.entry(root.id).or_insert_with(|| Slot::new(root)).add(start)?;
            in_pool(|| {
                in_backward_order(root).iter().try_for_each(|node| node.pass_on(&mut slots))
            })?;
        }
        let gradient = |(index, unknown): (usize, &&Self)| {
            let slot = unknown.node.as_ref().and_then(|node| slots.remove(&node.id));
            slot.and_then(Slot::take).ok_or(Error::NoGradient { index })?
        };
        unknowns.iter().enumerate().map(gradient).collect()
    }
}

impl fmt::Debug for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_tracked() { "tracked" } else { "constant" };
        write!(f, "Var({kind}, {:?} {:?})", self.value.dtype(), self.value.shape())
    }
}

type Backward = Box<dyn FnOnce(&Tensor, &mut Inputs<'_>) -> Result<()> + Send>;

struct Node {
    /// Grows with time, so that descending order leads from results to inputs.
    id: u64,
    shape: Shape,
    dtype: DType,
    device: Device,
    inputs: Vec<Option<Arc<Node>>>,
    step: Mutex<Step>,
}

enum Step {
    Unknown,
    Operation(Backward),
    Used,
}

impl Node {
    fn new(
        value: &Tensor,
        inputs: Vec<Option<Arc<Self>>>,
        backward: Option<Backward>,
    ) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            shape: value.shape().clone(),
            dtype: value.dtype(),
            device: value.device().clone(),
            inputs,
            step: Mutex::new(backward.map_or(Step::Unknown, Step::Operation)),
        })
    }

    /// Runs the backward of this operation on the gradient that has gathered in its slot.
    fn pass_on(&self, slots: &mut HashMap<u64, Slot>) -> Result<()> {
        let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*step, Step::Unknown) {
            return Ok(());
        }
        let Some(gradient) = slots.remove(&self.id).and_then(Slot::take).transpose()? else {
            return Ok(());
        };
        match std::mem::replace(&mut *step, Step::Used) {
            Step::Operation(backward) => backward(&gradient, &mut Inputs { node: self, slots }),
            Step::Used => Err(Error::TraceUsed),
            Step::Unknown => unreachable!("returned above"),
        }
    }
}

/// All nodes that `root` came from, results before inputs.
fn in_backward_order(root: &Arc<Node>) -> Vec<Arc<Node>> {
    let mut found = HashMap::from([(root.id, root.clone())]);
    let mut open = vec![root.clone()];
    while let Some(node) = open.pop() {
        for input in node.inputs.iter().flatten() {
            if found.insert(input.id, input.clone()).is_none() {
                open.push(input.clone());
            }
        }
    }
    let mut nodes: Vec<_> = found.into_values().collect();
    nodes.sort_unstable_by_key(|node| std::cmp::Reverse(node.id));
    nodes
}

/// Where an operation's backward leaves the gradients of its inputs.
pub struct Inputs<'a> {
    node: &'a Node,
    slots: &'a mut HashMap<u64, Slot>,
}

impl Inputs<'_> {
    /// The slot of the input `index`; `None` where it doesn't depend on an unknown, and its
    /// gradient must not be computed.
    pub fn slot(&mut self, index: usize) -> Option<&mut Slot> {
        let node = self.node.inputs[index].as_ref()?;
        Some(self.slots.entry(node.id).or_insert_with(|| Slot::new(node)))
    }
}

/// The sum of the gradients that have reached a tensor so far.
pub struct Slot {
    shape: Shape,
    dtype: DType,
    device: Device,
    sum: Sum,
}

enum Sum {
    Nothing,
    /// Perhaps in use elsewhere: copied before anything is added in place.
    Shared(Tensor),
    /// In use nowhere else.
    Own(Tensor),
}

impl Slot {
    fn new(node: &Node) -> Self {
        let (shape, dtype, device) = (node.shape.clone(), node.dtype, node.device.clone());
        Self { shape, dtype, device, sum: Sum::Nothing }
    }

    /// The shape of the slot's tensor.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Adds `gradient`, of the shape and dtype of the slot's tensor; it may be in use elsewhere.
    ///
    /// # Errors
    /// Where the shapes differ or the device fails.
    pub fn add(&mut self, gradient: Tensor) -> Result<()> {
        self.add_as(gradient, Sum::Shared)
    }

    /// Adds `gradient`, as [`Slot::add`] does; the caller made it and keeps nothing of it.
    ///
    /// # Errors
    /// Where the shapes differ or the device fails.
    pub fn add_owned(&mut self, gradient: Tensor) -> Result<()> {
        self.add_as(gradient, Sum::Own)
    }

    fn add_as(&mut self, gradient: Tensor, first: fn(Tensor) -> Sum) -> Result<()> {
        if *gradient.shape() != self.shape {
            return Err(Error::Shape {
                op: "backward",
                operand: "gradient",
                expected: format!("{:?}", self.shape.dims()),
                found: gradient.dims().to_vec(),
            });
        }
        self.sum = match std::mem::replace(&mut self.sum, Sum::Nothing) {
            Sum::Nothing => first(gradient),
            Sum::Shared(sum) => Sum::Own(cpu::sum_of(&sum, &gradient)?),
            Sum::Own(sum) if sum.device().is_cpu() => {
                cpu::add_assign(&sum, &gradient.contiguous()?)?;
                Sum::Own(sum)
            }
            Sum::Own(sum) => Sum::Own(sum.add(&gradient)?),
        };
        Ok(())
    }

    /// Lets `write` add to the sum in place, as a row-major buffer in memory that holds the sum
    /// so far, or zeros ([`Onto::Zeros`]).
    ///
    /// # Errors
    /// Where the slot's tensor is not of type `T` on the CPU.
    pub fn add_in_place<T: Real>(&mut self, write: impl FnOnce(&mut [T], Onto)) -> Result<()> {
        let (sum, onto) = match std::mem::replace(&mut self.sum, Sum::Nothing) {
            Sum::Nothing => (Tensor::zeros(&self.shape, self.dtype, &self.device)?, Onto::Zeros),
            Sum::Shared(sum) => (sum.force_contiguous()?, Onto::Sum),
            Sum::Own(sum) => (sum, Onto::Sum),
        };
        cpu::write(&sum, |buffer| write(buffer, onto))?;
        self.sum = Sum::Own(sum);
        Ok(())
    }

    /// The sum as a contiguous tensor; `None` where nothing has come.
    fn take(self) -> Option<Result<Tensor>> {
        match self.sum {
            Sum::Nothing => None,
            Sum::Shared(sum) | Sum::Own(sum) => Some(sum.contiguous().map_err(Error::from)),
        }
    }
}

/// What a buffer holds that is to be added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onto {
    /// Zeros: it may as well be overwritten.
    Zeros,
    /// The sum of other gradients.
    Sum,
}
