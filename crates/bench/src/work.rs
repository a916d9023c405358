//! Doing a job: edit, ask, and measure what must not have changed.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use retcon::data::{Case, Fact};
use retcon::error::Fault;
use retcon::eval::held::{Held, Moved};
use retcon::eval::reading::Reading;
use retcon::{Ctx, Delta, Editor, Method, Model};

use crate::ask::{When, ask, held};
use crate::error::Result;
use crate::plan::{Chosen, Job, Plan};
use crate::setting::Setting;
use crate::store::{Answers, Measured, Store};

/// Cases that are asked at once where they are put to one model.
const AT_ONCE: usize = 16;

/// All that jobs share.
pub(crate) struct Bench<'a> {
    plan: &'a Plan,
    model: &'a Model,
    cases: Vec<Case>,
    held: Held,
    /// One for each method of the plan.
    editors: Vec<Box<dyn Editor>>,
}

/// Where a job in a sequence finds what the one before left, and leaves something itself.
pub(crate) struct Chain<'a> {
    pub(crate) before: Option<&'a Path>,
    pub(crate) after: &'a Path,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(store: &Store, plan: &'a Plan, model: &'a Model) -> Result<Self> {
        let cases = store.cases()?;
        let texts = held(&store.first_cases()?, &store.kept()?, plan.asking);
        let held = Held::new(model, &texts)?;
        let editor = |chosen: &Chosen| -> Result<Box<dyn Editor>> {
            Ok(Method::find(&chosen.method)?.editor(chosen.settings.clone())?)
        };
        let editors = plan.methods.iter().map(editor).collect::<Result<_>>()?;
        Ok(Self { plan, model, cases, held, editors })
    }

    /// How many cases there were when it began.
    pub(crate) fn n_cases(&self) -> usize {
        self.cases.len()
    }

    /// Does a job.
    pub(crate) fn work(
        &self,
        ctx: &Ctx<'_>,
        store: &Store,
        job: &Job,
        chain: Chain<'_>,
    ) -> Result<Measured> {
        // What was said before is asked once for all methods: it is no method's time.
        self.ask_before(ctx, store, job.cases.clone())?;
        let start = Instant::now();
        let editor = self.editors[job.method].as_ref();
        let ctx = ctx.with_seed(job.seed);
        let mut doing = Doing { bench: self, ctx: &ctx, editor, seconds: 0.0 };
        let mut measured = match self.plan.settings[job.setting] {
            Setting::Sequential { at_once, .. } => doing.go_on(job, at_once, chain)?,
            _ => doing.batch(job.cases.clone())?,
        };
        measured.edit_seconds = doing.seconds;
        measured.seconds = start.elapsed().as_secs_f64();
        Ok(measured)
    }

    /// Asks what jobs that are done are compared with, where that could not be read any more.
    pub(crate) fn ask_again(&self, ctx: &Ctx<'_>, store: &Store) -> Result<()> {
        let mut done = store.done()?.into_iter().filter(|cases| cases.end <= self.cases.len());
        done.try_for_each(|cases| self.ask_before(ctx, store, cases))
    }

    /// Asks some cases before any edit, unless that has been done.
    fn ask_before(&self, ctx: &Ctx<'_>, store: &Store, cases: Range<usize>) -> Result<()> {
        for case in cases {
            if store.before(case)?.is_some() {
                continue;
            }
            let from = case / AT_ONCE * AT_ONCE;
            let group = from..self.cases.len().min(from + AT_ONCE);
            for (case, readings) in self.ask(ctx, self.model, group, When::Before)? {
                store.note_before(case, &readings)?;
            }
        }
        Ok(())
    }

    /// What `model` says to each of `cases`, which are asked in groups: from the first on, so that what
    /// is said, down to its rounding, doesn't depend on which jobs there are.
    fn ask(
        &self,
        ctx: &Ctx<'_>,
        model: &Model,
        cases: Range<usize>,
        when: When,
    ) -> Result<Vec<(usize, Vec<Reading>)>> {
        let mut asked = Vec::with_capacity(cases.len());
        for from in cases.clone().step_by(AT_ONCE) {
            ctx.check()?;
            let group = from..cases.end.min(from + AT_ONCE);
            let said = ask(model, &self.cases[group.clone()], from, self.plan.asking, when)?;
            asked.extend(group.zip(said));
        }
        Ok(asked)
    }

    fn moved(&self, after: &Model) -> Result<Vec<Moved>> {
        Ok(self.held.moved(self.model, after)?)
    }

    /// What some cases edit, each fact once: questions of several hops share them.
    fn facts(&self, cases: Range<usize>) -> Vec<Fact> {
        let mut seen = BTreeSet::new();
        let mut facts: Vec<&Fact> = self.cases[cases].iter().flat_map(|case| &case.edits).collect();
        facts.retain(|fact| seen.insert((fact.prompt.text(), fact.target_new.as_str())));
        facts.into_iter().cloned().collect()
    }
}

/// A job that is being done.
struct Doing<'a> {
    bench: &'a Bench<'a>,
    ctx: &'a Ctx<'a>,
    editor: &'a dyn Editor,
    /// Seconds that editing took so far.
    seconds: f64,
}

impl Doing<'_> {
    /// Edits all of `cases` at once, and asks each.
    fn batch(&mut self, cases: Range<usize>) -> Result<Measured> {
        let (delta, error) = self.edit(self.bench.model, cases.clone())?;
        let after = match delta {
            Some(delta) => self.bench.model.with(delta)?,
            None => self.bench.model.clone(),
        };
        let answers = self.ask(&after, cases, error.as_ref())?;
        Ok(Measured { answers, moved: self.bench.moved(&after)?, ..Measured::default() })
    }

    /// Edits the cases of a job, `at_once` together, on top of what the job before left. Each is asked
    /// right after its edit, and all so far after the last.
    fn go_on(&mut self, job: &Job, at_once: usize, chain: Chain<'_>) -> Result<Measured> {
        let mut stack = chain.before.map(Delta::load).transpose()?;
        let mut measured = Measured::default();
        let mut model = self.stacked(stack.as_ref())?;
        for from in job.cases.clone().step_by(at_once) {
            let cases = from..job.cases.end.min(from + at_once);
            let (delta, error) = self.edit(&model, cases.clone())?;
            if let Some(delta) = delta {
                let both = stack.take().map(|stack| stack.then(&delta)).transpose()?;
                stack = Some(both.unwrap_or(delta));
                model = self.stacked(stack.as_ref())?;
            }
            let online = self.ask(&model, cases, error.as_ref())?.into_iter();
            measured.answers.extend(online.map(|answers| Answers { online: true, ..answers }));
        }
        measured.answers.extend(self.ask(&model, 0..job.cases.end, None)?);
        measured.moved = self.bench.moved(&model)?;
        stack.unwrap_or_default().save(chain.after)?;
        Ok(measured)
    }

    fn stacked(&self, stack: Option<&Delta>) -> Result<Model> {
        let base = self.bench.model;
        Ok(stack.map(|stack| base.with(stack.clone())).transpose()?.unwrap_or_else(|| base.clone()))
    }

    /// Edits some cases; where that is not possible for a reason that lies in them or in the method, the
    /// reason.
    fn edit(
        &mut self,
        model: &Model,
        cases: Range<usize>,
    ) -> Result<(Option<Delta>, Option<String>)> {
        self.ctx.check()?;
        let start = Instant::now();
        let edited = self.editor.edit(self.ctx, model, &self.bench.facts(cases));
        self.seconds += start.elapsed().as_secs_f64();
        match edited {
            Ok(delta) => Ok((Some(delta), None)),
            Err(error) if error.fault() == Fault::Surroundings => Err(error.into()),
            Err(error) => Ok((None, Some(error.to_string()))),
        }
    }

    fn ask(
        &self,
        model: &Model,
        cases: Range<usize>,
        error: Option<&String>,
    ) -> Result<Vec<Answers>> {
        let answers = self.bench.ask(self.ctx, model, cases, When::After)?.into_iter();
        let answer =
            |(case, readings)| Answers { case, online: false, readings, error: error.cloned() };
        Ok(answers.map(answer).collect())
    }
}
