//! `ask`: what a model says, as text while it is drawn, or as a list of likely tokens.

use std::io::{self, Write};

use anyhow::{Result, bail};
use retcon::Model;
use retcon::data::SLOT;
use retcon::model::Batch;
use retcon::model::generate::{Candidate, Sampling, candidates, generate};
use serde_json::{Value, json};

use super::Outcome;
use crate::failure::advised;
use crate::job::{Answer, Ask};
use crate::render::{bold, dim, percent, table};
use crate::shell::Shell;

/// Fillings of a mask that are listed where no number is given.
const N_FILLINGS: usize = 5;

/// Answers every prompt.
pub(crate) fn run(shell: &Shell, job: &Ask) -> Result<Outcome> {
    let model = job.model.open(shell, &job.deltas)?;
    let mut answers = Vec::new();
    for (i, prompt) in job.prompts.iter().enumerate() {
        if i > 0 {
            shell.say("")?;
        }
        shell.check()?;
        answers.push(match (&job.answer, model.spec().is_causal()) {
            (Answer::Text(sampling), true) => continue_text(shell, &model, prompt, sampling)?,
            (Answer::Text(_), false) => list(shell, &model, prompt, N_FILLINGS)?,
            (Answer::Top(n), _) => list(shell, &model, prompt, *n)?,
        });
    }
    let ids = model.deltas().iter().map(|delta| delta.id()).collect::<Result<Vec<_>, _>>()?;
    shell.emit(&json!({"model": job.model.to_string(), "deltas": ids, "answers": answers}))?;
    Ok(Outcome::Done)
}

fn continue_text(shell: &Shell, model: &Model, prompt: &str, sampling: &Sampling) -> Result<Value> {
    let ids = model.tokenizer().opening(prompt)?;
    if ids.is_empty() {
        bail!("the prompt has no tokens: {prompt:?}");
    }
    let mut text = Text::new(model, &ids)?;
    let mut failure = None;
    if !shell.json {
        write!(io::stdout().lock(), "{}", bold().apply_to(prompt))?;
    }
    generate(model, &[ids], sampling, |_, token| {
        let written = text.push(token).and_then(|new| show(shell, &new));
        match written.and_then(|()| shell.check()) {
            Ok(()) => true,
            Err(error) => {
                failure = Some(error);
                false
            }
        }
    })?;
    shell.say("")?;
    match failure {
        Some(error) => Err(error),
        None => Ok(json!({"prompt": prompt, "text": text.all()?, "n_tokens": text.n_new()})),
    }
}

fn show(shell: &Shell, text: &str) -> Result<()> {
    if !shell.json && !text.is_empty() {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
    }
    Ok(())
}

/// A text that grows token by token. Decoding tokens one by one would lose spaces, and characters
/// that take several.
struct Text<'a> {
    model: &'a Model,
    ids: Vec<u32>,
    n_prompt: usize,
    /// Bytes of the decoded text that have been given out.
    n_shown: usize,
    /// Bytes of the decoded prompt.
    start: usize,
}

impl<'a> Text<'a> {
    fn new(model: &'a Model, prompt: &[u32]) -> Result<Self> {
        let start = model.tokenizer().decode(prompt)?.len();
        Ok(Self { model, ids: prompt.to_vec(), n_prompt: prompt.len(), n_shown: start, start })
    }

    /// Adds a token, and gives what can be shown now.
    fn push(&mut self, token: u32) -> Result<String> {
        self.ids.push(token);
        let text = self.model.tokenizer().decode(&self.ids)?;
        // A character that is not complete yet.
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        let new = text.get(self.n_shown..).unwrap_or_default().to_owned();
        self.n_shown = text.len();
        Ok(new)
    }

    /// Everything after the prompt.
    fn all(&self) -> Result<String> {
        let text = self.model.tokenizer().decode(&self.ids)?;
        Ok(text.get(self.start..).unwrap_or_default().to_owned())
    }

    fn n_new(&self) -> usize {
        self.ids.len() - self.n_prompt
    }
}

/// Lists likely tokens after the prompt, or at each of its masks.
fn list(shell: &Shell, model: &Model, prompt: &str, n: usize) -> Result<Value> {
    let (ids, places) = match model.spec().is_causal() {
        true => {
            let ids = model.tokenizer().opening(prompt)?;
            let last = ids.len().saturating_sub(1) as u32;
            (ids, vec![last])
        }
        false => masked(model, prompt)?,
    };
    shell.say(bold().apply_to(prompt).to_string())?;
    let batch = Batch::new([&ids])?;
    let mut lists = Vec::new();
    for (i, &at) in places.iter().enumerate() {
        let found = candidates(model, &batch, at, n)?;
        if places.len() > 1 {
            shell.say(dim().apply_to(format!("[MASK] {}", i + 1)).to_string())?;
        }
        shell.say(rows(model, &found)?)?;
        let found = found.iter().map(|candidate| to_json(model, candidate));
        lists.push(Value::Array(found.collect::<Result<_>>()?));
    }
    let single = lists.len() == 1;
    let top = if single { lists.remove(0) } else { Value::Array(lists) };
    Ok(json!({"prompt": prompt, "top": top}))
}

/// The tokens of a text with masks, and where the masks are.
fn masked(model: &Model, prompt: &str) -> Result<(Vec<u32>, Vec<u32>)> {
    let tokenizer = model.tokenizer();
    let family = model.spec().family;
    let mask = tokenizer.mask().ok_or(retcon::Error::NoMask { family })?;
    if !prompt.contains(SLOT) {
        let what = format!("a model of family {family} fills masks, found no {SLOT} in: {prompt}");
        bail!(advised(what, "write [MASK] where the missing word goes"));
    }
    let (mut ids, mut places) = (tokenizer.prefix().to_vec(), Vec::new());
    for (i, piece) in prompt.split(SLOT).enumerate() {
        if i > 0 {
            places.push(ids.len() as u32);
            ids.push(mask);
        }
        ids.extend(tokenizer.encode(piece)?.ids);
    }
    ids.extend(tokenizer.suffix());
    Ok((ids, places))
}

fn rows(model: &Model, candidates: &[Candidate]) -> Result<String> {
    let mut table = table(["token", "probability"]);
    for candidate in candidates {
        // Quoted, so that spaces and line breaks can be seen.
        let text = format!("{:?}", model.tokenizer().shown(candidate.token)?);
        table.add_row([text, percent(candidate.log_prob.exp())]);
    }
    crate::render::right(&mut table, &[1]);
    Ok(table.trim_fmt())
}

fn to_json(model: &Model, candidate: &Candidate) -> Result<Value> {
    Ok(json!({
        "id": candidate.token,
        "text": model.tokenizer().shown(candidate.token)?,
        "probability": candidate.log_prob.exp(),
        "log_prob": candidate.log_prob,
    }))
}
