//! What makes no sense in a plan, told before hours go into the rest.

use serde::Serialize;

use super::choice::{Data, Lookup, Memory};
use super::plan::Plan;
use crate::error::{Error, Result};
use crate::train::Constraint;

impl Plan {
    /// # Errors
    /// [`Error::BadSetting`] for what makes no sense.
    pub(super) fn check(&self) -> Result<()> {
        each_once("seeds", &self.seeds)?;
        each_once("memorize.start", &self.memorize.start)?;
        let modify = &self.modify;
        each_once("modify.sizes", &modify.sizes)?;
        each_once("modify.from", &modify.from)?;
        each_once("modify.data", &modify.data)?;
        each_once("modify.memory", &modify.memory)?;
        each_once("modify.blocks", &modify.blocks)?;
        each_once("modify.components", &modify.components)?;
        each_once("modify.constraints", &modify.constraints)?;
        if modify.every == 0 {
            return Err(Error::bad_setting("modify.every", "at least 1", "0"));
        }
        if let Some(share) = modify.share.filter(|share| !(*share > 0.0 && *share < 1.0)) {
            return Err(Error::bad_setting("modify.share", "a share between 0 and 1", share));
        }
        let rewrites = modify.memory.contains(&Memory::Rewritten);
        if rewrites && self.memorize.lookup == Lookup::None {
            let expected = "a memory to rewrite: set `lookup` under `[memorize]`";
            return Err(Error::bad_setting("modify.memory", expected, "none"));
        }
        if modify.data.contains(&Data::Nothing) && !rewrites {
            let expected = "`memory = [\"rewritten\"]`, or something to train on";
            return Err(Error::bad_setting("modify.data", expected, "\"nothing\""));
        }
        for constraint in &modify.constraints {
            constraint.check("modify.constraints")?;
        }
        if modify.course.constraint != Constraint::None {
            let expected = "no constraint: `constraints` beside it takes its place";
            return Err(Error::bad_setting(
                "modify.course",
                expected,
                modify.course.constraint.name(),
            ));
        }
        if matches!(self.memorize.course.constraint, Constraint::Loss { .. }) {
            let expected = "none, l2 or linf: there are no other facts to watch";
            return Err(Error::bad_setting("memorize.course", expected, "loss"));
        }
        self.memorize.course.check()?;
        modify.course.check()
    }

    /// Whether it leaves others to watch of `n` facts, where these are to bound the loss.
    ///
    /// # Errors
    /// [`Error::BadSetting`] where it doesn't.
    pub(super) fn check_facts(&self, n: usize) -> Result<()> {
        let watches = |constraint: &Constraint| matches!(constraint, Constraint::Loss { .. });
        let modify = &self.modify;
        if modify.data.contains(&Data::Ftm)
            && modify.constraints.iter().any(watches)
            && let Some(size) = modify.sizes.iter().find(|&&size| size >= n)
        {
            let expected = "facts that stay, for `loss` to watch";
            return Err(Error::bad_setting(
                "modify.sizes",
                expected,
                format!("{size} of {n} facts"),
            ));
        }
        Ok(())
    }
}

/// A list of choices has one at least, and none of them twice: it would only be done again.
fn each_once<T: PartialEq + Serialize>(key: &'static str, list: &[T]) -> Result<()> {
    if list.is_empty() {
        return Err(Error::bad_setting(key, "at least one", "none"));
    }
    let again = list.iter().enumerate().find(|&(i, choice)| list[..i].contains(choice));
    match again.and_then(|(_, choice)| serde_json::to_string(choice).ok()) {
        Some(choice) => {
            Err(Error::bad_setting(key, "each of them once", format!("{choice} twice")))
        }
        None => Ok(()),
    }
}
