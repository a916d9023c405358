//! All that was measured of a method under a setting, case by case.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Material;
use super::numbers::{of_case, online};
use super::whole::{Whole, unmoved};
use crate::setting::Setting;
use crate::store;

/// All that was measured of a method under a setting.
pub(super) struct Sheet<'a> {
    pub(super) setting: usize,
    pub(super) method: Option<usize>,
    /// Each case after all edits, or after its own where each is undone.
    pub(super) last: Vec<Measured<'a>>,
    /// The same after each check of a sequence; with how many edits.
    pub(super) checks: BTreeMap<usize, Vec<Measured<'a>>>,
    /// Of the whole model, at the end.
    pub(super) whole: Whole,
    /// The same after each check of a sequence; with how many edits.
    pub(super) whole_at: BTreeMap<usize, Whole>,
    /// Why edits failed, under each seed and case.
    pub(super) errors: BTreeMap<(u64, usize), &'a str>,
    pub(super) n_planned: usize,
}

/// A case under a method.
pub(super) struct Measured<'a> {
    pub(super) case: usize,
    pub(super) seed: u64,
    pub(super) n_edits: usize,
    pub(super) answers: Option<&'a store::Answers>,
    pub(super) numbers: BTreeMap<&'static str, f64>,
}

impl<'a> Material<'a> {
    /// The model as it was, on the cases of a setting that have been asked.
    pub(super) fn unedited(&self, setting: usize, jobs: &[store::Row]) -> Sheet<'a> {
        let kind = self.plan.settings[setting];
        let n = kind.n_cases(self.cases.len());
        let asked = (0..n).filter_map(|case| Some((case, self.before[case].as_ref()?)));
        let measured = asked.map(|(case, before)| Measured {
            case,
            seed: 0,
            n_edits: 0,
            answers: None,
            numbers: of_case(&self.cases[case], before, before),
        });
        let mut sheet = Sheet::new(setting, None, n);
        sheet.last.extend(measured);
        if let Some(measured) = jobs.iter().find_map(|row| row.measured.as_ref()) {
            let texts: Vec<_> = measured.moved.iter().map(unmoved).collect();
            let whole = &mut sheet.whole;
            match kind {
                // Units as those of the methods beside it.
                Setting::Single { .. } => {
                    sheet.last.iter().for_each(|measured| whole.add_case(measured.case, &texts));
                }
                _ => whole.add_texts(&texts),
            }
        }
        sheet
    }

    pub(super) fn sheet<'b>(
        &self,
        setting: usize,
        method: usize,
        jobs: &'b [store::Row],
    ) -> Sheet<'b> {
        let kind = self.plan.settings[setting];
        let n_planned = kind.n_cases(self.cases.len()) * self.plan.seeds.len();
        let mut sheet = Sheet::new(setting, Some(method), n_planned);
        for &seed in &self.plan.seeds {
            let mine = jobs.iter().filter(|row| {
                let job = &row.job;
                (job.setting, job.method, job.seed) == (setting, method, seed)
            });
            let done: Vec<_> = mine.filter_map(|row| Some((row, row.measured.as_ref()?))).collect();
            for (place, &(row, measured)) in done.iter().enumerate() {
                let is_last = !kind.is_sequential() || place + 1 == done.len();
                self.add(&mut sheet, row, measured, is_last);
            }
        }
        sheet
    }

    /// Adds what a job measured.
    fn add<'b>(
        &self,
        sheet: &mut Sheet<'b>,
        row: &'b store::Row,
        measured: &'b store::Measured,
        is_last: bool,
    ) {
        let kind = self.plan.settings[sheet.setting];
        let n_edits = self.n_edits(match kind.is_sequential() {
            true => 0..row.job.cases.end,
            false => row.job.cases.clone(),
        });
        for answers in &measured.answers {
            let Some(before) = &self.before[answers.case] else { continue };
            let mut numbers = of_case(&self.cases[answers.case], before, &answers.readings);
            if answers.online {
                numbers = online(&numbers);
            }
            let (case, seed) = (answers.case, row.job.seed);
            sheet.errors.extend(answers.error.as_deref().map(|error| ((seed, case), error)));
            let measured = || Measured { case, seed, n_edits, answers: Some(answers), numbers };
            match (kind.is_sequential(), answers.online) {
                (false, _) | (true, true) => sheet.last.push(measured()),
                (true, false) => {
                    sheet.checks.entry(n_edits).or_default().push(measured());
                }
            }
        }
        if kind.is_sequential() {
            sheet.whole_at.entry(n_edits).or_default().add_texts(&measured.moved);
        }
        match kind {
            Setting::Single { .. } => {
                sheet.whole.add_case(row.job.cases.start, &measured.moved);
            }
            _ if is_last => sheet.whole.add_texts(&measured.moved),
            _ => {}
        }
        // A job is timed as a whole, so it is one number, however many its edits are.
        let n = self.n_edits(row.job.cases.clone()) as f64;
        sheet.whole.add("time.edit", row.job.part, measured.edit_seconds / n, n);
        sheet.whole.add("time.all", row.job.part, measured.seconds / n, n);
    }

    /// How many edits some cases ask for.
    fn n_edits(&self, cases: Range<usize>) -> usize {
        self.cases[cases].iter().map(|case| case.edits.len()).sum()
    }
}

impl<'a> Sheet<'a> {
    fn new(setting: usize, method: Option<usize>, n_planned: usize) -> Self {
        Self {
            setting,
            method,
            last: Vec::new(),
            checks: BTreeMap::new(),
            whole: Whole::default(),
            whole_at: BTreeMap::new(),
            errors: BTreeMap::new(),
            n_planned,
        }
    }

    /// Each case at the end: of a sequence after its last check, with what was seen online.
    pub(super) fn finals(&self) -> Vec<&Measured<'a>> {
        // Sequences with other seeds may have come less far.
        let checked = self.checks.values().flatten().map(|m| ((m.seed, m.case), m));
        let checked: BTreeMap<_, _> = checked.collect();
        checked.into_values().chain(&self.last).collect()
    }
}
