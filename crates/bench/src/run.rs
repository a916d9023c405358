//! Working on a store until nothing is left to do.

use std::thread;
use std::time::Duration;

use retcon::{Ctx, Model, Progress};

use crate::error::Result;
use crate::queue::{Next, Worker, folder, is_gone};
use crate::store::Store;
use crate::work::{Bench, Chain};

/// Does all jobs of the plan, as the store has it now, that nobody else does, and waits for those that
/// others are at. Whatever ends it, what was measured stays, and the next call goes on from there.
///
/// # Errors
/// [`crate::Error::Full`], [`crate::Error::Store`], [`crate::Error::Stopped`], and what would end every
/// job: that statistics are missing, for one. What ends one edit alone is noted with its cases.
pub fn run(ctx: &Ctx<'_>, store: &mut Store, model: &Model) -> Result<()> {
    let n_lost = store.mend()?;
    if n_lost > 0 {
        tracing::warn!("what {n_lost} of the jobs measured can't be read: they are done again");
    }
    let plan = store.plan()?;
    let bench = Bench::new(store, &plan, model)?;
    let worker = Worker::new(store)?;
    ctx.report(&progress(store)?)?;
    loop {
        let taken = match worker.take(store, &plan, bench.n_cases())? {
            Next::Job(taken) => taken,
            Next::Wait => {
                ctx.report(&progress(store)?)?;
                thread::sleep(Duration::from_millis(200));
                continue;
            }
            Next::Nothing => break,
        };
        let before = taken.after.map(|id| worker.left_by(id));
        if let Some(lost) = before.as_deref().filter(|path| !path.exists()) {
            if worker.start_over(store, &taken)? {
                tracing::warn!("{} is lost: its sequence starts over", lost.display());
            }
            continue;
        }
        let after = worker.left_by(taken.id);
        let chain = Chain { before: before.as_deref(), after: &after };
        // What an edit reports about itself is of no interest among hundreds.
        let quiet = ctx.quiet();
        let measured = match bench.work(&quiet, store, &taken.job, chain) {
            Ok(measured) => measured,
            Err(error) => {
                worker.release(store, &taken)?;
                return Err(error);
            }
        };
        let is_mine = worker.finish(store, &taken, &measured)?;
        if let Some(before) = before.filter(|_| is_mine) {
            // It has served its end; where it can't be removed, it does no harm.
            let _ = std::fs::remove_file(before);
        }
        ctx.report(&progress(store)?)?;
    }
    drop(worker);
    bench.ask_again(ctx, store)?;
    // Others may have added sequences since, and go on from what is there.
    let all = progress(store)?;
    if all.done == all.total {
        // Fails, as it should, where another worker still holds its lock there.
        let _ = remove_left(&folder(store.path()));
    }
    Ok(())
}

/// Removes what sequences, and workers that were killed, left in the folder beside a finished store, and
/// the folder where it is empty.
fn remove_left(folder: &std::path::Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_left = match path.extension().and_then(std::ffi::OsStr::to_str) {
            Some("safetensors") => true,
            Some("lock") => is_gone(&path),
            _ => false,
        };
        if is_left {
            std::fs::remove_file(path)?;
        }
    }
    std::fs::remove_dir(folder)
}

/// How many cases are done, of all that the store has now.
fn progress(store: &Store) -> Result<Progress> {
    let select = "SELECT coalesce(sum(CASE state WHEN 2 THEN last - first ELSE 0 END), 0), \
                  coalesce(sum(last - first), 0) FROM jobs";
    let (done, total) = store.at(|db| {
        db.query_row(select, [], |row| Ok((row.get::<_, usize>(0)?, row.get::<_, usize>(1)?)))
    })?;
    Ok(Progress::new("editing and measuring", done, total))
}
