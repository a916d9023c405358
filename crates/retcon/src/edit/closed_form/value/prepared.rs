//! All of a search that no step changes.

use std::ops::Range;

use candle_core::Tensor;
use retcon_kernels::autograd::Var;
use retcon_kernels::loss::log_softmax;
use retcon_kernels::rows::gather_rows;
use retcon_kernels::squares::sum_of_squares;
use retcon_model::spec::NormOrder;
use retcon_model::tap::Capture;
use retcon_model::{Batch, Hidden, Model, Site, Spot};

use super::{Search, first};
use crate::edit::closed_form::subject::{Situation, Subject};
use crate::edit::closed_form::walk::Walk;
use crate::error::Result;

/// The situations of some subjects, run as far as nothing changes.
pub(super) struct Prepared<'a> {
    pub(super) model: &'a Model,
    /// What enters the block `start`, from the first position that an offset can reach.
    pub(super) hidden: Hidden,
    pub(super) start: usize,
    /// The sites where offsets are added; where there are none, they are added to `hidden`.
    pub(super) sites: Vec<Site>,
    /// The texts of each subject, its essence last.
    pub(super) of_subject: Vec<Range<usize>>,
    /// What matters of each text.
    pub(super) texts: Vec<Text>,
    /// What the essence of each subject said, `[n, n_vocab]`, log-probabilities; `None` where that
    /// doesn't matter.
    pub(super) said: Option<Tensor>,
    /// What the first site has for each situation: `[situations, d_model]`.
    pub(super) states: Tensor,
    /// What each site has for the bare prompts: `[n, d_model]`.
    pub(super) before: Vec<Tensor>,
    /// The norms of that, for each site and subject.
    pub(super) norms: Vec<Vec<f64>>,
}

/// A text, by the rows that are run again.
pub(super) struct Text {
    /// The row of the subject's last token.
    pub(super) lookup: u32,
    /// The rows that are read.
    pub(super) at: Vec<u32>,
    /// The tokens that they should say.
    pub(super) object: Vec<u32>,
}

impl<'a> Prepared<'a> {
    /// Adds what enters the first block that will change to `walk`, which stands there.
    pub(super) fn new(
        model: &'a Model,
        subjects: &[Subject],
        search: &Search,
        walk: &mut Walk,
    ) -> Result<Self> {
        let (mut of_subject, mut all): (_, Vec<&Situation>) = (Vec::new(), Vec::new());
        for subject in subjects {
            let from = all.len();
            all.extend(subject.situations.iter().chain([&subject.essence]));
            of_subject.push(from..all.len());
        }
        let batch = Batch::new(all.iter().map(|situation| &situation.query.ids))?;
        let (block, first_changed) = (search.block, search.first_changed);
        let changing = model.blocks(0..first_changed, model.embed(&batch, &mut ())?, &mut ())?;
        let situations: Vec<usize> =
            of_subject.iter().flat_map(|texts| texts.start..texts.end - 1).collect();
        let chosen: Vec<&Situation> = situations.iter().map(|&i| all[i]).collect();
        walk.add(model, &chosen, &changing.sequences(&situations)?)?;
        let entering = model.blocks(first_changed..block, changing, &mut ())?;
        let sites: Vec<_> = search.spots.iter().map(|&spot| Site::Block(block, spot)).collect();
        let mut seen = Capture::only(sites.iter().copied());
        let leaving = model.blocks(block..block + 1, entering.clone(), &mut seen)?;
        let starts = batch.starts();
        let rows: Vec<u32> =
            situations.iter().map(|&i| (starts[i] + all[i].lookup) as u32).collect();
        let states = Var::constant(seen.seen[&sites[0]].clone());
        let states = gather_rows(&states, &rows)?.into_value();
        let bare = bare_rows(&starts, &all, &of_subject);
        let before = sites.iter().map(|site| means(&seen.seen[site], &bare));
        let before = before.collect::<Result<Vec<_>>>()?;
        let norms = before.iter().map(norms).collect::<Result<_>>()?;
        let is_direct = is_direct(model, search);
        let (hidden, start) = if is_direct { (leaving, block + 1) } else { (entering, block) };
        let from: Vec<usize> = all.iter().map(|situation| first(model, situation)).collect();
        let hidden = match model.spec().is_causal() {
            true => model.from_positions(start..model.spec().n_blocks, &hidden, &from)?,
            false => hidden,
        };
        let text = |(situation, from): (&&Situation, &usize)| Text {
            lookup: (situation.lookup - from) as u32,
            at: situation.query.at.iter().map(|at| at - *from as u32).collect(),
            object: situation.query.object.clone(),
        };
        let texts = all.iter().zip(&from).map(text).collect();
        let sites = if is_direct { Vec::new() } else { sites };
        let said = None;
        let mut prepared =
            Self { model, hidden, start, sites, of_subject, texts, said, states, before, norms };
        if search.kl > 0.0 {
            prepared.said = Some(prepared.essences()?);
        }
        Ok(prepared)
    }

    /// What the essences of all subjects say, as log-probabilities.
    fn essences(&self) -> Result<Tensor> {
        let texts: Vec<usize> = self.of_subject.iter().map(|texts| texts.end - 1).collect();
        let hidden = self.hidden.sequences(&texts)?;
        let starts = texts.iter().zip(hidden.starts());
        let at = starts.map(|(&text, start)| start as u32 + self.texts[text].at[0]);
        let at: Vec<u32> = at.collect();
        let x = self.model.finish(self.start, hidden, &at, &mut ())?;
        Ok(log_softmax(&self.model.logits(&x)?)?)
    }
}

/// Whether an offset to the site is an offset to the block's output, and nothing else: so it is for
/// the MLP's output where nothing stands between that and the residual stream.
pub(super) fn is_direct(model: &Model, search: &Search) -> bool {
    let is_pre = model.spec().norm_order == NormOrder::Pre;
    match search.spots.as_slice() {
        [Spot::Out] => true,
        [Spot::MlpOut] => is_pre,
        _ => false,
    }
}

/// The row of the subject's last token in the bare prompts of each subject.
fn bare_rows(starts: &[usize], all: &[&Situation], of_subject: &[Range<usize>]) -> Vec<Vec<u32>> {
    let bare = |texts: &Range<usize>| {
        let texts = texts.start..texts.end - 1;
        texts.filter(|&i| all[i].bare).map(|i| (starts[i] + all[i].lookup) as u32).collect()
    };
    of_subject.iter().map(bare).collect()
}

/// The mean of the rows `at` of `x`, for each of them: `[at, width]`.
fn means(x: &Tensor, at: &[Vec<u32>]) -> Result<Tensor> {
    let x = Var::constant(x.clone());
    let mean = |rows: &Vec<u32>| Ok(gather_rows(&x, rows)?.value().mean_keepdim(0)?);
    Ok(Tensor::cat(&at.iter().map(mean).collect::<Result<Vec<_>>>()?, 0)?)
}

/// The norm of each row.
fn norms(x: &Tensor) -> Result<Vec<f64>> {
    let norm = |i| Ok(sum_of_squares(&x.narrow(0, i, 1)?)?.sqrt());
    (0..x.dim(0)?).map(norm).collect()
}
