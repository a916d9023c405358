//! Where text meets tokens: which positions of a prompt say its object, and which its subject.
//!
//! A prompt is encoded whole and the object is appended as ids, never encoded again across the
//! seam (methods differ in this; see `docs/design.md`). Positions come from character offsets.

use std::ops::Range;

use retcon_model::batch::runs;
use retcon_model::{Batch, Model};

use crate::data::Prompt;
use crate::error::{Error, Result};

/// A prompt with an object, in tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The whole sequence.
    pub ids: Vec<u32>,
    /// The positions whose output is a token of the object: those before the tokens in a decoder,
    /// those of the masks in an encoder. They ascend.
    pub at: Vec<u32>,
    /// The object's tokens, one a position of `at`.
    pub object: Vec<u32>,
    /// The positions of the subject, where the prompt has one.
    pub subject: Option<Range<usize>>,
    /// Which fact of the model's memory it asks for, where it has one.
    pub entry: Option<usize>,
}

/// `prompt` with `object` as its object.
///
/// # Errors
/// [`Error::EmptyObject`] where the object has no tokens, [`Error::NoMask`] where an encoder has
/// no token to hide an object with, [`Error::SlotInDecoder`] where text follows the object in a
/// decoder, and what the tokenizer reports.
pub fn query(model: &Model, prompt: &Prompt, object: &str) -> Result<Query> {
    query_of(model, prompt, model.tokenizer().encode_continuation(object)?)
}

/// As [`query`], of an object in tokens.
///
/// # Errors
/// As [`query`].
pub fn query_of(model: &Model, prompt: &Prompt, object: Vec<u32>) -> Result<Query> {
    let query = if model.spec().is_causal() {
        continued(model, prompt, object)?
    } else {
        masked(model, prompt, object)?
    };
    if query.object.is_empty() {
        return Err(Error::EmptyObject { prompt: prompt.text().to_owned() });
    }
    Ok(query)
}

/// Whether `prompt` with `object` is no longer than what the model takes.
///
/// # Errors
/// As [`query`].
pub fn fits(model: &Model, prompt: &Prompt, object: &str) -> Result<bool> {
    Ok(query(model, prompt, object)?.ids.len() <= model.spec().n_positions)
}

fn continued(model: &Model, prompt: &Prompt, object: Vec<u32>) -> Result<Query> {
    let tokenizer = model.tokenizer();
    if let Some(slot) = prompt.slot() {
        return Err(Error::SlotInDecoder { prompt: prompt.text()[slot.start..].to_owned() });
    }
    let n_prefix = tokenizer.prefix().len();
    let encoding = tokenizer.encode(prompt.text())?;
    let mut ids = tokenizer.prefix().to_vec();
    ids.extend(&encoding.ids);
    let first = ids.len() as u32;
    ids.extend(&object);
    // The last token of the object predicts nothing that is asked for.
    ids.pop();
    if first == 0 {
        return Err(Error::EmptyObject { prompt: prompt.text().to_owned() });
    }
    let at = (first - 1..first - 1 + object.len() as u32).collect();
    let subject = prompt.subject().and_then(|bytes| encoding.span_of(bytes));
    let subject = subject.map(|span| span.start + n_prefix..span.end + n_prefix);
    Ok(Query { ids, at, object, subject, entry: None })
}

fn masked(model: &Model, prompt: &Prompt, object: Vec<u32>) -> Result<Query> {
    let tokenizer = model.tokenizer();
    let mask = tokenizer.mask().ok_or(Error::NoMask { family: model.spec().family })?;
    let prompt = prompt.clone().masked();
    let slot = prompt.slot().ok_or_else(|| Error::EmptyObject { prompt: prompt.text().into() })?;
    // An encoder's words are split before they are encoded, so the pieces around the slot have
    // the ids that they have in the whole.
    let left = &prompt.text()[..slot.start];
    let left = if tokenizer.mask_takes_space() { left.trim_end() } else { left };
    let left = tokenizer.encode(left)?;
    let right = tokenizer.encode(&prompt.text()[slot.end..])?;
    let n_prefix = tokenizer.prefix().len();
    let mut ids = tokenizer.prefix().to_vec();
    ids.extend(&left.ids);
    let first = ids.len() as u32;
    ids.extend(std::iter::repeat_n(mask, object.len()));
    let after = ids.len();
    ids.extend(&right.ids);
    ids.extend(tokenizer.suffix());
    let subject = prompt.subject().and_then(|bytes| {
        if bytes.start < slot.start {
            left.span_of(bytes).map(|span| span.start + n_prefix..span.end + n_prefix)
        } else {
            let bytes = bytes.start - slot.end..bytes.end - slot.end;
            right.span_of(bytes).map(|span| span.start + after..span.end + after)
        }
    });
    let at = (first..first + object.len() as u32).collect();
    Ok(Query { ids, at, object, subject, entry: None })
}

/// Several queries as one batch.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Their sequences.
    pub batch: Batch,
    /// The rows of the batch that are read, ascending.
    pub rows: Vec<u32>,
    /// The token that each of those rows should say.
    pub tokens: Vec<u32>,
    /// The rows of each query, as a range of `rows`.
    pub of_query: Vec<Range<usize>>,
    /// The fact of the model's memory that each row asks for; `None` where a query names none.
    pub entries: Option<Vec<u32>>,
}

impl Packed {
    /// Packs `queries` in their order.
    ///
    /// # Errors
    /// Where one has no tokens.
    pub fn new<'a>(queries: impl IntoIterator<Item = &'a Query>) -> Result<Self> {
        let queries: Vec<&Query> = queries.into_iter().collect();
        let batch = Batch::new(queries.iter().map(|query| &query.ids))?;
        let (mut rows, mut tokens, mut of_query) = (Vec::new(), Vec::new(), Vec::new());
        for (query, start) in queries.iter().zip(batch.starts()) {
            let first = rows.len();
            rows.extend(query.at.iter().map(|at| at + start as u32));
            tokens.extend(&query.object);
            of_query.push(first..rows.len());
        }
        let entry = |query: &&Query| {
            query.entry.map(|entry| std::iter::repeat_n(entry as u32, query.at.len()))
        };
        let entries = queries.iter().map(entry).collect::<Option<Vec<_>>>();
        let entries = entries.map(|entries| entries.into_iter().flatten().collect());
        Ok(Self { batch, rows, tokens, of_query, entries })
    }

    /// A weight for each row such that every query counts as given and its tokens count alike.
    #[must_use]
    pub fn weights(&self, of_queries: &[f64]) -> Vec<f64> {
        let weights = |(rows, weight): (&Range<usize>, &f64)| {
            std::iter::repeat_n(weight / rows.len() as f64, rows.len())
        };
        self.of_query.iter().zip(of_queries).flat_map(weights).collect()
    }
}

/// `queries` in runs that fit into memory at once, in their order.
#[must_use]
pub fn in_runs(queries: &[Query]) -> Vec<&[Query]> {
    const TOKENS: usize = 4096;
    let runs = runs(queries.iter().map(|query| query.ids.len()), TOKENS);
    runs.into_iter().map(|run| &queries[run]).collect()
}
