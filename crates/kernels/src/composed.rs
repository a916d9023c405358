//! Operations composed of candle's: how every operation runs on a device that has no native code
//! here, and what the native code is tested against.

use candle_core::Tensor;

use crate::autograd::Var;
use crate::error::{Error, Result};

/// `y = f(inputs)`, where `f` composes operations whose gradients candle knows.
///
/// Nothing but the inputs is kept for the way back: backward computes `f` a second time, under
/// candle's own tape, and takes the gradients of `sum(y dy)` by those inputs that are tracked.
///
/// # Errors
/// What `f` reports; on the way back, [`Error::NoGradient`] where candle finds none by a tracked
/// input.
pub fn composed(
    inputs: &[&Var],
    f: impl Fn(&[Tensor]) -> Result<Tensor> + Send + 'static,
) -> Result<Var> {
    let values: Vec<Tensor> = inputs.iter().map(|input| input.value().clone()).collect();
    let tracked: Vec<bool> = inputs.iter().map(|input| input.is_tracked()).collect();
    let y = f(&values)?;
    Ok(Var::record(y, inputs, move |dy, inputs| {
        let on_tape = |(value, &tracked): (&Tensor, &bool)| {
            if !tracked {
                return Ok(value.clone());
            }
            #[expect(clippy::disallowed_types, reason = "tracked inputs alone get on the tape")]
            Ok(candle_core::Var::from_tensor(value)?.into_inner())
        };
        let values = values.iter().zip(&tracked).map(on_tape).collect::<Result<Vec<_>>>()?;
        #[expect(clippy::disallowed_methods, reason = "what is frozen is not on the tape")]
        let gradients = f(&values)?.mul(dy)?.sum_all()?.backward()?;
        for (index, value) in values.iter().enumerate() {
            if let Some(slot) = inputs.slot(index) {
                let gradient = gradients.get(value).ok_or(Error::NoGradient { index })?;
                slot.add(gradient.detach())?;
            }
        }
        Ok(())
    }))
}
