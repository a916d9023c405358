//! Training: facts are memorized, or modified, by steps over texts that say them.
//!
//! [`Stream`] says which texts make a step, [`Course`] how the step is taken, and [`Trainer`] takes
//! it. What is wanted differs in nothing but these: memorizing, retraining, and fine-tuning on the
//! modified facts alone or mixed with others (Zhu et al. 2020, arXiv 2012.00363, section 4).

mod course;
mod save;
mod stream;
mod trainer;

pub use course::{Constraint, Course};
pub use stream::{Share, Stream};
pub use trainer::{Step, Trainer};
