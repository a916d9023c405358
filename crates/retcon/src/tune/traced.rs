//! Where causal tracing finds the facts: a guess at where they can be written, which is tried as well.

use retcon_model::Model;

use super::cases::Case;
use crate::ctx::{Ctx, Progress};
use crate::error::Result;
use crate::trace::{self, Kind, Question, Role, Settings};

/// The noise in standard deviations of the subjects' embeddings (Meng et al. 2022, code).
const NOISE: f64 = 3.0;

/// Draws of it. Few are enough, since only the mean over facts is used.
const SAMPLES: usize = 3;

/// The block around which restored MLPs bring back most at the last token of the subject, in the mean
/// over facts; `None` where restoring them brings back nothing.
pub(super) fn block(ctx: &Ctx<'_>, model: &Model, cases: &[Case]) -> Result<Option<usize>> {
    let n_blocks = model.spec().n_blocks;
    let subjects: Vec<&str> =
        cases.iter().filter_map(|case| case.fact.prompt.subject_text()).collect();
    let settings = Settings {
        kinds: vec![Kind::Mlp],
        noise: NOISE * trace::deviation(model, &subjects)?,
        samples: SAMPLES,
        // Ten of 48 blocks in the paper.
        window: n_blocks.div_ceil(5),
    };
    let mut traces = Vec::new();
    for (done, case) in cases.iter().enumerate() {
        let (stage, total) = ("tracing facts", cases.len());
        ctx.report(&Progress::new(stage, done, total))?;
        let quiet = ctx.quiet();
        let question = Question::new(model, &case.fact.prompt, case.fact.target_true.as_deref())?;
        traces.push(trace::trace(&quiet, model, &question, &settings)?);
    }
    let averages = trace::averages(&traces);
    let lines = averages.iter().flat_map(|average| &average.lines);
    let effects = lines.filter(|line| line.role == Role::SubjectLast).flat_map(|line| {
        line.effects.iter().enumerate().map(|(block, effect)| (block, effect.mean))
    });
    let peak = effects.max_by(|(_, a), (_, b)| a.total_cmp(b));
    Ok(peak.filter(|&(_, effect)| effect > 0.0).map(|(block, _)| block))
}
