//! What a search makes small, for the subjects that are not done yet.

use std::ops::Range;

use candle_core::Tensor;
use retcon_kernels::autograd::Var;
use retcon_kernels::loss::{Head, Scored, cross_entropy, cross_entropy_and_kl};
use retcon_kernels::rows::{add, gather_rows, scatter_add_rows};
use retcon_kernels::squares::norms;
use retcon_model::Hidden;
use retcon_model::tap::Offset;

use super::Search;
use super::prepared::Prepared;
use crate::edit::optim::Evaluations;
use crate::error::Result;

/// The objective of every subject.
pub(super) struct Objective<'a> {
    prepared: &'a Prepared<'a>,
    search: &'a Search,
    /// How often in a row every token of a subject's objects has led.
    led: Vec<usize>,
    open: Option<Open>,
}

/// What the subjects need that are not done yet.
#[derive(Debug)]
struct Open {
    subjects: Vec<usize>,
    hidden: Hidden,
    /// The row of the subject's last token in each text, and which of the subjects that is.
    lookups: Vec<u32>,
    subject_of: Vec<u32>,
    /// The rows that are read.
    rows: Vec<u32>,
    /// Which of these are to say an object's token, which, and how much each counts.
    targets: Vec<u32>,
    tokens: Vec<u32>,
    weights: Vec<f64>,
    of_subject: Vec<Range<usize>>,
    /// Which of them are essences, and what those said.
    essences: Vec<u32>,
    said: Option<Tensor>,
}

impl<'a> Objective<'a> {
    pub(super) fn new(prepared: &'a Prepared<'a>, search: &'a Search) -> Self {
        Self { prepared, search, led: vec![0; prepared.of_subject.len()], open: None }
    }

    /// The objective of `subjects` at `offsets`, a row for each of them and each site.
    pub(super) fn at(&mut self, subjects: &[usize], offsets: &Var) -> Result<Evaluations> {
        if self.open.as_ref().is_none_or(|open| open.subjects != subjects) {
            self.open = Some(Open::new(self.prepared, subjects)?);
        }
        let open = self.open.as_ref().expect("made just now");
        let model = self.prepared.model;
        let x = open.run(self.prepared, offsets)?;
        let bias = model.head_bias()?;
        let head = model.head(bias.as_ref())?;
        let weights = self.weights(open);
        let (scored, divergences) = self.judged(open, &x, &head, &weights)?;
        let rates = self.rates(subjects);
        let lengths = norms(offsets, &rates)?;
        let loss = add(&scored.loss, &lengths.loss)?;
        let n_sites = self.prepared.norms.len();
        let (mut losses, mut satisfied) = (Vec::new(), Vec::new());
        for (i, &subject) in subjects.iter().enumerate() {
            let rows = open.of_subject[i].clone();
            let leads = rows.clone().all(|row| scored.margin[row] > 0.0);
            self.led[subject] = if leads { self.led[subject] + 1 } else { 0 };
            let divergence = divergences.get(i).copied().unwrap_or(0.0);
            let unlikely: f64 = rows.map(|row| -weights[row] * scored.log_prob[row]).sum();
            let sites = i * n_sites..(i + 1) * n_sites;
            let length: f64 = sites.map(|site| rates[site] * lengths.per_row[site]).sum();
            let total = unlikely + self.search.kl * divergence + length;
            let stop = &self.search.stop;
            let leads = stop.leads.is_some_and(|n| self.led[subject] >= n);
            losses.push(total);
            satisfied.push(total < stop.loss || leads && divergence <= stop.kl);
        }
        Ok(Evaluations { loss, losses, satisfied })
    }

    /// How much each target counts.
    fn weights(&self, open: &Open) -> Vec<f64> {
        let mut weights = open.weights.clone();
        for (rows, &subject) in open.of_subject.iter().zip(&open.subjects) {
            if self.led[subject] > 0 {
                let factor = self.search.stop.weight_when_leading;
                weights[rows.clone()].iter_mut().for_each(|weight| *weight *= factor);
            }
        }
        weights
    }

    /// What the targets get, and how far what the essences say is from what they said, where that
    /// matters; the loss is of both.
    fn judged(
        &self,
        open: &Open,
        x: &Var,
        head: &Head<'_>,
        weights: &[f64],
    ) -> Result<(Scored, Vec<f64>)> {
        let Some(said) = &open.said else {
            let targets = gather_rows(x, &open.targets)?;
            return Ok((cross_entropy(&targets, head, &open.tokens, weights)?, Vec::new()));
        };
        let rows = gather_rows(x, &[&open.targets[..], &open.essences].concat())?;
        let weights = [weights, &vec![self.search.kl; open.essences.len()]].concat();
        Ok(cross_entropy_and_kl(&rows, head, &open.tokens, said, &weights)?)
    }

    /// What an offset's norm counts, for each subject and site.
    fn rates(&self, subjects: &[usize]) -> Vec<f64> {
        let of_subject = |&subject: &usize| {
            let norms = self.prepared.norms.iter();
            norms.map(move |norms| self.search.decay / norms[subject].powi(2))
        };
        subjects.iter().flat_map(of_subject).collect()
    }
}

impl Open {
    fn new(prepared: &Prepared<'_>, subjects: &[usize]) -> Result<Self> {
        let of = |&subject: &usize| prepared.of_subject[subject].clone();
        let texts: Vec<usize> = subjects.iter().flat_map(of).collect();
        let hidden = prepared.hidden.sequences(&texts)?;
        let mut starts = hidden.starts().into_iter();
        let said = match &prepared.said {
            Some(said) => {
                let rows: Vec<u32> = subjects.iter().map(|&subject| subject as u32).collect();
                Some(said.index_select(&Tensor::new(rows, said.device())?, 0)?)
            }
            None => None,
        };
        let mut open = Self {
            subjects: subjects.to_vec(),
            hidden,
            lookups: Vec::new(),
            subject_of: Vec::new(),
            rows: Vec::new(),
            targets: Vec::new(),
            tokens: Vec::new(),
            weights: Vec::new(),
            of_subject: Vec::new(),
            essences: Vec::new(),
            said,
        };
        for (i, &subject) in subjects.iter().enumerate() {
            let texts = prepared.of_subject[subject].clone();
            let first = open.targets.len();
            for text in texts.clone() {
                let start = starts.next().expect("a start for each text") as u32;
                open.lookups.push(start + prepared.texts[text].lookup);
                open.subject_of.push(i as u32);
                let place = open.rows.len() as u32;
                let read = &prepared.texts[text].at;
                open.rows.extend(read.iter().map(|at| start + at));
                if text + 1 == texts.end {
                    open.essences.push(place);
                    continue;
                }
                open.targets.extend(place..place + read.len() as u32);
                open.tokens.extend(&prepared.texts[text].object);
                let weight = 1.0 / ((texts.len() - 1) * read.len()) as f64;
                open.weights.extend(std::iter::repeat_n(weight, read.len()));
            }
            open.of_subject.push(first..open.targets.len());
        }
        Ok(open)
    }

    /// What is multiplied with the unembedding at the rows that are read.
    fn run(&self, prepared: &Prepared<'_>, offsets: &Var) -> Result<Var> {
        let (model, start, mut hidden) = (prepared.model, prepared.start, self.hidden.clone());
        let n_sites = prepared.norms.len() as u32;
        // The rows of a subject's offsets lie together, one a site.
        let by = |site: u32| {
            let rows: Vec<u32> = self.subject_of.iter().map(|of| of * n_sites + site).collect();
            gather_rows(offsets, &rows)
        };
        let offset = |site: usize| -> Result<Offset> {
            let (at, rows) = (prepared.sites[site], self.lookups.clone());
            Ok(Offset { site: at, rows, by: by(site as u32)? })
        };
        let rows = &self.rows;
        Ok(match prepared.sites.len() {
            0 => {
                hidden.x = scatter_add_rows(&hidden.x, &self.lookups, &by(0)?)?;
                model.finish(start, hidden, rows, &mut ())?
            }
            1 => model.finish(start, hidden, rows, &mut offset(0)?)?,
            _ => model.finish(start, hidden, rows, &mut (offset(0)?, offset(1)?))?,
        })
    }
}
