//! How the cost of `memit` grows: with edits, with blocks, and with the width of keys.

use std::collections::BTreeSet;
use std::time::Instant;

use faer::Mat;
use retcon::Model;
use retcon::edit::closed_form::solve::{Metric, solve};
use retcon::linalg::{Factor, NullSpace};
use serde_json::{Value, json};

use super::edits::edit;
use super::moments;
use super::request::{Edit, Request};
use crate::measure::{Outcome, median, timed};

/// Looks at a value's loss where the request says nothing: few, as it is the growth that counts.
const STEPS: usize = 5;
/// Edits in a batch.
const EDITS: [usize; 5] = [1, 10, 100, 1000, 10_000];
/// Edits where the request says nothing: more take hours, but on a tiny model.
const MOST: usize = 1000;
/// Edits while blocks grow.
const EDITS_OF_BLOCKS: usize = 10;
/// Widths of keys.
const WIDTHS: [usize; 4] = [512, 1024, 2048, 4096];
/// The widest key of which a null space is searched, for time.
const WIDEST_NULL_SPACE: usize = 2048;
/// The weight of a second moment (`covariance_weight` of MEMIT).
const MU: f64 = 15_000.0;
const REPEATS: usize = 3;

/// The three tables. `blocks` of the request end at the one that holds values, and there are as many
/// as are tried at most.
pub(crate) fn measure(request: &Request, model: &Model) -> Outcome<Value> {
    let mut request = request.clone();
    request.settings.entry("steps").or_insert(STEPS.into());
    let all = request.blocks.clone();
    let Some(last) = all.len().checked_sub(1) else { return Err("no blocks".into()) };
    let most = request.settings.remove("most").and_then(|most| most.as_u64());
    let most = most.map_or(MOST, |most| most as usize);
    let mut by_edits = Vec::new();
    for n in EDITS.into_iter().filter(|&n| n <= most) {
        by_edits.push(memit(&request, model, &all[last..], n)?);
    }
    let mut by_blocks = Vec::new();
    for n in 1..=all.len() {
        by_blocks.push(memit(&request, model, &all[all.len() - n..], EDITS_OF_BLOCKS)?);
    }
    let by_width = WIDTHS.into_iter().map(solves).collect::<Outcome<Vec<_>>>()?;
    Ok(json!({
        "edits_grow": by_edits, "blocks_grow": by_blocks, "widths": by_width,
        "steps": request.settings["steps"],
    }))
}

/// One batch of `n` edits in `blocks`.
fn memit(request: &Request, model: &Model, blocks: &[usize], n: usize) -> Outcome<Value> {
    let path = request.second_moments.as_ref().ok_or("`grow` needs `second_moments`")?;
    let mut request = request.clone();
    request.blocks = blocks.to_vec();
    let edits = many(&request.edits, n)?;
    let facts = edits.iter().map(Edit::fact).collect::<Outcome<Vec<_>>>()?;
    let given = moments::read(path, model, blocks)?;
    let (_, stages) = edit(request.editor()?.as_ref(), &given, model, &facts)?;
    Ok(json!({
        "n_edits": n, "blocks": blocks, "edit_seconds": stages.sum(),
        "prepare_seconds": stages.prepare,
        "stages": { "value_search": stages.search, "keys_and_solve": stages.rest },
    }))
}

/// `n` edits, of subjects all different: where there are too few of these, a number behind the name
/// makes one more.
fn many(edits: &[Edit], n: usize) -> Outcome<Vec<Edit>> {
    let mut found = Vec::new();
    let mut subjects = BTreeSet::new();
    for round in 0.. {
        for edit in edits {
            let mut edit = edit.clone();
            if round > 0 {
                edit.subject = format!("{} {}", edit.subject, round + 1);
            }
            if found.len() < n && subjects.insert(edit.subject.clone()) {
                found.push(edit);
            }
        }
        if found.len() == n {
            break;
        }
        if edits.is_empty() {
            return Err("no edits".into());
        }
    }
    Ok(found)
}

/// What is solved for a block of which keys are `width` wide: seconds of each part.
fn solves(width: usize) -> Outcome<Value> {
    // Neighbors are alike, as keys' numbers are, and no direction is without any.
    let moment = Mat::from_fn(width, width, |i, j| 0.9f64.powi(i.abs_diff(j) as i32));
    let clock = Instant::now();
    let factor = Factor::new(&moment, "a second moment")?;
    let factored = clock.elapsed().as_secs_f64();
    let null_space = match width <= WIDEST_NULL_SPACE {
        true => {
            let clock = Instant::now();
            NullSpace::new(&moment, 1.0, "a second moment")?;
            Some(clock.elapsed().as_secs_f64())
        }
        false => None,
    };
    let metric = Metric::Moment(moment, factor);
    let past = Mat::zeros(width, 0);
    let seconds = |n: usize| -> Outcome<f64> {
        let keys = Mat::from_fn(width, n, |i, j| ((i * 31 + j * 17) % 101) as f64 / 50.0 - 1.0);
        let times = timed(REPEATS, || {
            solve(&metric, MU, keys.as_ref(), past.as_ref(), None)?;
            Ok(())
        })?;
        Ok(median(&times))
    };
    Ok(json!({
        "width": width, "factor_seconds": factored, "null_space_seconds": null_space,
        "solve_1_seconds": seconds(1)?, "solve_100_seconds": seconds(100)?,
    }))
}
