//! `bench`: methods on cases, into a store; what is in it already is not done again.

use std::path::Path;
use std::thread;

use anyhow::{Context, Result, bail};
use retcon::data::Case;
use retcon::data::datasets::{Beside, Dataset, detect};
use retcon::eval::held::KEPT;
use retcon::stats::Source;
use retcon::{Ctx, Model};
use retcon_bench::{Asking, Chosen, Plan, Selection, Store, meet, run as work, select};

use super::{Outcome, report, tune};
use crate::failure::advised;
use crate::job::{Bench, Statistics};
use crate::render::{bytes, plural, progress};
use crate::shell::Shell;

/// Does what is missing in the store, and shows what it has come to.
pub(crate) fn run(shell: &Shell, job: &Bench) -> Result<Outcome> {
    let model = job.model.open(shell, &[])?;
    check_memory(job, &model)?;
    let dataset = match &job.format {
        Some(name) => Dataset::find(name)?,
        None => detect(&job.data)?,
    };
    let selection = choose(shell, job, &model, dataset)?;
    let statistics = job.statistics.source(shell)?;
    let plan = plan(shell, job, &model, dataset, statistics.as_ref())?;
    let mut store = Store::create(&job.store, &plan, &selection.cases, &selection.kept)?;
    let plan = store.plan()?;
    let n_jobs = plan.jobs(selection.cases.len()).len();
    shell.note(format!(
        "{} on {}: {} in {}",
        plural(plan.methods.len(), "method"),
        plural(selection.cases.len(), "case"),
        plural(n_jobs, "job"),
        job.store.display()
    ))?;
    let done = all(shell, job, &mut store, &model, statistics.as_ref());
    done.with_context(|| {
        let store = job.store.display();
        format!(
            "what was measured is in {store}, and the same command goes on from there; it ended"
        )
    })?;
    note_silence(shell, &store, selection.cases.len())?;
    report::show(shell, &store)
}

/// The cases, and what was left out of them.
fn choose(shell: &Shell, job: &Bench, model: &Model, dataset: &Dataset) -> Result<Selection> {
    let beside = Beside { patterns: job.patterns.clone(), seed: 0 };
    let mut read = dataset.read(&job.data, &beside)?;
    let n_read = read.cases.len() + read.left_out.len();
    // A store that is there has its own facts to keep: asking for others takes a pass or many, and
    // however many cases there are to be now, they are not edited.
    let kept = match Store::open(&job.store) {
        Ok(store) => Some(store.kept()?),
        Err(retcon_bench::Error::NotAStore { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let is_kept = |case: &Case| kept.iter().flatten().any(|kept| meet(case, kept));
    read.cases.retain(|case| !is_kept(case));
    let wanted = if kept.is_some() { 0 } else { job.asking.kept };
    let asking = Asking { kept: wanted, ..job.asking };
    let ctx = Ctx::new(0);
    let selection =
        progress::watched(shell, ctx, |ctx| select(ctx, model, read.cases, job.n, asking))?;
    let n_left_out = read.left_out.len() + selection.left_out.len();
    let reasons = read.left_out.iter().map(|(origin, why)| (origin.to_string(), why.clone()));
    let reasons: Vec<_> = reasons.chain(selection.left_out.iter().cloned()).collect();
    for (case, why) in &reasons {
        tracing::info!("left out: {case}: {why}");
    }
    if selection.cases.is_empty() {
        let why = reasons.first().map_or("there are none".to_owned(), |(case, why)| {
            format!("all {n_read} are left out, such as {case}: {why}")
        });
        let data = job.data.display().to_string();
        bail!(retcon_bench::Error::NoCases { data, why });
    }
    if n_left_out > 0 {
        let n = plural(n_left_out, "case");
        shell.note(format!("{n} of those read can't be asked and are left out (-v tells why)"))?;
    }
    let n_kept = selection.kept.len();
    if wanted > 0 && selection.n_others == 0 {
        shell.note(
            "every case of the data may be edited, so none is there for kept.tf.sequence: \
             -n leaves some",
        )?;
    } else if n_kept < wanted {
        shell.note(format!(
            "the model knows {} of the data that are not edited, for kept.tf.sequence",
            plural(n_kept, "fact")
        ))?;
    }
    Ok(selection)
}

fn plan(
    shell: &Shell,
    job: &Bench,
    model: &Model,
    dataset: &Dataset,
    statistics: &dyn Source,
) -> Result<Plan> {
    let methods = job.methods.iter().map(|chosen| {
        let settings = match job.may_tune {
            true => tune::settle(shell, model, chosen.method, &chosen.given, statistics)?,
            false => chosen.given.clone(),
        };
        Ok(Chosen { label: chosen.label.clone(), method: chosen.method.name.to_owned(), settings })
    });
    let methods = methods.collect::<Result<Vec<_>>>()?;
    let mut needing = job.methods.iter().zip(&methods);
    let needs_statistics =
        needing.any(|(chosen, Chosen { settings, .. })| chosen.method.needs_statistics(settings));
    let precision = format!("{:?}", shell.options.precision).to_lowercase();
    Ok(Plan {
        model: job.model.name(),
        fingerprint: retcon::identity::model_id(model)?,
        precision,
        data: file_name(&job.data),
        dataset: dataset.name.to_owned(),
        statistics: match &job.statistics {
            _ if !needs_statistics => String::new(),
            Statistics::File(path) => file_name(path),
            Statistics::Text(text) => text.corpus.clone(),
        },
        methods,
        settings: job.settings.clone(),
        seeds: job.seeds.clone(),
        asking: job.asking,
    })
}

/// What tells a file to people; that its content is the same is told by the cases.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Makes sure that the memory of this machine is enough, before hours have gone into it.
fn check_memory(job: &Bench, model: &Model) -> Result<()> {
    let needed = needed(model, job.workers);
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    // A container may have less than its machine.
    let limit = system.cgroup_limits().map_or(u64::MAX, |limits| {
        // What files are cached makes room where it is needed.
        limits.total_memory.saturating_sub(limits.rss)
    });
    let available = system.available_memory().min(limit);
    if needed > available && available > 0 && !job.force {
        let what =
            format!("this needs up to {}, and {} are available", bytes(needed), bytes(available));
        bail!(advised(what, "use fewer --workers or a smaller model, or go on with --force"));
    }
    Ok(())
}

/// Tells where the model without an edit has nothing to say, so that nothing can be compared.
fn note_silence(shell: &Shell, store: &Store, n_cases: usize) -> Result<()> {
    let before = (0..n_cases).map(|case| store.before(case)).collect::<Result<Vec<_>, _>>()?;
    let said = before.iter().flatten().flatten().filter_map(|reading| reading.says.as_deref());
    let n = said.clone().count();
    let n_silent = said.filter(|says| says.trim().is_empty()).count();
    if n_silent > 0 {
        let n_silent = plural(n_silent, "question");
        shell.note(format!(
            "the model without an edit says nothing to {n_silent} of {n}: where it says nothing \
             after an edit either, `same.free` has no number"
        ))?;
    }
    Ok(())
}

/// The bytes that workers on a model take at most.
fn needed(model: &Model, n_workers: usize) -> u64 {
    /// What is kept of held-out texts, and logits that are alive at once.
    const MEASURING: usize = KEPT + (256 << 20);
    let spec = model.spec();
    let bases = || model.weights().iter().map(|(_, param)| param.base());
    let held: usize = bases().map(|base| base.n_bytes()).sum();
    let numbers: usize = bases().map(|base| base.dims().iter().product::<usize>()).sum();
    // A moment of the keys and its factor in f64, for up to as many blocks as published methods edit.
    let moments = 2 * 6 * spec.d_mlp * spec.d_mlp * size_of::<f64>();
    // An edit holds as much as half of the weights, as 32-bit floats, beside them, as
    // docs/benchmarks.md has measured.
    (held + n_workers * (numbers / 2 * size_of::<f32>() + moments + MEASURING)) as u64
}

/// Works on the store with as many workers as were asked for.
fn all(
    shell: &Shell,
    job: &Bench,
    store: &mut Store,
    model: &Model,
    statistics: &dyn Source,
) -> Result<()> {
    let long = progress::Long::new(shell);
    let report = |p: &_| long.tell(p);
    let ctx =
        Ctx::new(0).with_progress(&report).with_cancel(shell.cancel).with_statistics(statistics);
    let silent = ctx.quiet();
    let others =
        (1..job.workers).map(|_| Store::open(&job.store)).collect::<Result<Vec<_>, _>>()?;
    let done = thread::scope(|scope| {
        let silent = &silent;
        let start = |mut store| scope.spawn(move || work(silent, &mut store, model));
        let others: Vec<_> = others.into_iter().map(start).collect();
        let mine = work(&ctx, store, model);
        let theirs = others.into_iter().map(|other| other.join().expect("a worker never panics"));
        theirs.fold(mine, Result::and)
    });
    long.finish();
    Ok(done?)
}
