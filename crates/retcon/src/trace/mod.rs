//! Where a model keeps a fact: which state brings its answer back, and which keys it hangs on.
//!
//! [`trace`] is the causal tracing of Meng et al. 2022 (arXiv 2202.05262): the subject is hidden
//! in noise, one state is restored, and the answer's probability tells what that state carries.
//! [`attribute`] finds the knowledge neurons of Dai et al. 2022 (arXiv 2104.08696): entries of an
//! MLP's key, weighed by the integral of the answer's gradient. Both ask one [`Question`] at a
//! time; [`averages`] and [`refine`] say what several have in common. `docs/trace.md` has the
//! formulas, and what differs from the published code.

mod average;
mod causal;
mod neurons;
mod noise;
mod patch;
mod picture;
mod question;
mod runs;

pub use average::{Average, Line, Mean, averages};
pub use causal::{Kind, Map, Peak, Settings, Trace, trace};
pub use neurons::{Attribution, Neuron, Shared, attribute, refine};
pub use noise::deviation;
pub use picture::{average_map, map, neuron_map};
pub use question::{Question, Role, Token};
