//! Facts as Experts: a symbolic memory of facts, looked up where an object is predicted (at the
//! masks of an encoder) and mixed into that.
//!
//! Verga, Sun, Baldini Soares and Cohen 2020 (arXiv 2007.00849) put facts beside the weights: a key
//! made of subject and relation, a value made of the object. What a row `x` is to predict becomes
//!
//! ```text
//! q   = W_q x                          query, [d_embed]
//! k_i = s_i + r_i                      key of fact i, from a table of subjects and one of relations
//! a   = softmax(q k_i)                 over all facts, and one entry that stands for none of them
//! x'  = x + W_v sum_i a_i e(o_i)       e: the embedding of the object; none has zeros
//! ```
//!
//! Which object belongs to which fact is a list: rewriting it changes what is said without any
//! gradient. The paper's objects are entities, of which a row predicts a whole one; here a row
//! predicts a token, and finds the token of each object that stands at its place. The map that the
//! paper applies to `[s_i, r_i]` is left out: our tables serve no other end and take it in.

use std::sync::Arc;

use candle_core::Tensor;
use retcon_kernels::attention::{Attention, Mask, Sequences, attention};
use retcon_kernels::autograd::Var;
use retcon_kernels::rows::{add, gather_rows, scatter_add_rows};
use retcon_kernels::squares::sum_of_squares;

use crate::error::{Error, Result};
use crate::model::Model;
use crate::random::Random;
use crate::spec::{MemorySize, Spec};
use crate::weight_id::{Part, WeightId};
use crate::weights::HIDDEN;

/// Facts that a model looks up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactMemory {
    /// The name of each subject, in tokens.
    pub subjects: Vec<Vec<u32>>,
    /// The name of each relation, in tokens.
    pub relations: Vec<Vec<u32>>,
    /// The facts.
    pub entries: Vec<Entry>,
}

/// A fact of a memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its subject, by number.
    pub subject: usize,
    /// Its relation, by number.
    pub relation: usize,
    /// Its object, in tokens.
    pub object: Vec<u32>,
}

/// What a memory answers to some rows.
#[derive(Clone, Debug)]
pub struct Recalled {
    /// What is multiplied with the unembedding, the objects mixed in: `[n, d_embed]`.
    pub x: Var,
    /// What each row asks for, `[n, d_embed]`.
    pub queries: Var,
    /// The keys of all facts, and last that of none: `[n_facts + 1, d_embed]`.
    pub keys: Var,
}

/// Which rows ask which facts: for each place in an object the rows that predict it, and the facts
/// whose object reaches so far.
#[derive(Debug, Default)]
struct Lookups {
    /// The rows, place by place.
    asking: Vec<u32>,
    /// The facts, place by place, each time with none as the last.
    answering: Vec<u32>,
    /// The rows of `answering` that have a token, and the token.
    with_token: Vec<u32>,
    tokens: Vec<u32>,
    /// For each place the positions of its queries, and its number of keys. Which of the keys a
    /// query counts as doesn't matter, since it sees all.
    positions: Vec<Vec<u32>>,
    n_keys: Vec<usize>,
}

impl FactMemory {
    /// Whether it holds together.
    ///
    /// # Errors
    /// [`Error::BadMemory`] where an entry has no subject, relation or object, or a name no tokens.
    fn check(&self) -> Result<()> {
        let bad = |what: String| Err(Error::BadMemory { what });
        if let Some(index) = self.entries.iter().position(|entry| {
            let Entry { subject, relation, object } = entry;
            *subject >= self.subjects.len()
                || *relation >= self.relations.len()
                || object.is_empty()
        }) {
            return bad(format!("entry {index} lacks its subject, its relation or its object"));
        }
        for (what, names) in [("subject", &self.subjects), ("relation", &self.relations)] {
            if let Some(index) = names.iter().position(Vec::is_empty) {
                return bad(format!("the name of {what} {index} has no tokens"));
            }
        }
        Ok(())
    }

    /// The row of each fact in the table of subjects, and last that of none.
    fn subject_rows(&self) -> Vec<u32> {
        let rows = self.entries.iter().map(|entry| entry.subject);
        rows.chain([self.subjects.len()]).map(|row| row as u32).collect()
    }

    /// That in the table of relations.
    fn relation_rows(&self) -> Vec<u32> {
        let rows = self.entries.iter().map(|entry| entry.relation);
        rows.chain([self.relations.len()]).map(|row| row as u32).collect()
    }

    /// Who asks what, where row `i` predicts the token `places[i]` of its object.
    fn lookups(&self, places: &[usize]) -> Lookups {
        let mut lookups = Lookups::default();
        for place in 0..places.iter().max().map_or(0, |most| most + 1) {
            let (n_asking, n_answering) = (lookups.asking.len(), lookups.answering.len());
            let rows = (0..places.len() as u32).filter(|&row| places[row as usize] == place);
            lookups.asking.extend(rows);
            for (fact, entry) in self.entries.iter().enumerate() {
                if let Some(&token) = entry.object.get(place) {
                    lookups.with_token.push(lookups.answering.len() as u32);
                    lookups.tokens.push(token);
                    lookups.answering.push(fact as u32);
                }
            }
            lookups.answering.push(self.entries.len() as u32);
            lookups.positions.push(vec![0; lookups.asking.len() - n_asking]);
            lookups.n_keys.push(lookups.answering.len() - n_answering);
        }
        lookups
    }

    fn size(&self) -> MemorySize {
        MemorySize { n_subjects: self.subjects.len(), n_relations: self.relations.len() }
    }
}

impl Model {
    /// The facts that it looks up, where it has a memory.
    #[must_use]
    pub fn memory(&self) -> Option<&Arc<FactMemory>> {
        self.memory.as_ref()
    }

    /// This model with a memory. Subjects and relations begin as the mean embedding of their
    /// names, queries are drawn, and the map of objects begins as a multiple of the identity that
    /// gives them a root mean square of one, as rows have that a norm comes before. Where the
    /// unembedding is not the embedding, that multiple favors no object before it is trained.
    ///
    /// Only [`Model::recall`] reads it, which whoever predicts objects calls; free generation by a
    /// decoder doesn't.
    ///
    /// # Errors
    /// [`Error::BadMemory`] where an entry lacks something or a name has no tokens.
    pub fn with_memory(&self, memory: Arc<FactMemory>, seed: u64) -> Result<Self> {
        memory.check()?;
        let mut with = self.clone();
        with.spec = Arc::new(Spec { memory: Some(memory.size()), ..self.spec().clone() });
        let d = self.spec().d_embed();
        // A stream of its own: other weights are drawn of the same seed.
        let mut random = Random::new(seed ^ 0x6d65_6d6f_7279);
        let query: Vec<f32> = (0..d * d).map(|_| (0.02 * random.normal()) as f32).collect();
        let objects: Vec<u32> =
            memory.entries.iter().flat_map(|entry| entry.object.iter().copied()).collect();
        let gain = 1.0 / self.root_mean_square(&objects)?;
        let value = Tensor::eye(d, HIDDEN, self.device())?.affine(gain, 0.0)?;
        for (part, weight) in [
            (Part::MemorySubject, self.names(&memory.subjects)?),
            (Part::MemoryRelation, self.names(&memory.relations)?),
            (Part::MemoryQuery, Tensor::from_vec(query, (d, d), self.device())?),
            (Part::MemoryValue, value),
        ] {
            with.weights.insert(WeightId::global(part), weight.into());
        }
        with.memory = Some(memory);
        Ok(with)
    }

    /// This model with other facts in its memory, of the same subjects and relations.
    ///
    /// # Errors
    /// [`Error::BadMemory`] where an entry lacks something, or the sizes are not those of the
    /// memory that it has.
    pub fn with_facts(&self, memory: Arc<FactMemory>) -> Result<Self> {
        memory.check()?;
        if self.spec().memory != Some(memory.size()) {
            let what = format!("{:?}, where the model has {:?}", memory.size(), self.spec().memory);
            return Err(Error::BadMemory { what });
        }
        let mut with = self.clone();
        with.memory = Some(memory);
        Ok(with)
    }

    /// Looks up what the rows `x` (`[n, d_embed]`, as [`Model::finish`] gives them) ask for, and
    /// mixes it in. `places` says for each row which token of its object it predicts, from 0.
    /// `None` where the model has no memory.
    ///
    /// # Errors
    /// What the operations report.
    pub fn recall(&self, x: &Var, places: &[usize]) -> Result<Option<Recalled>> {
        let Some(memory) = &self.memory else { return Ok(None) };
        let (weights, d) = (self.weights(), self.spec().d_embed());
        let queries = weights.linear(WeightId::global(Part::MemoryQuery), x)?;
        let keys = add(
            &weights.rows(WeightId::global(Part::MemorySubject), &memory.subject_rows())?,
            &weights.rows(WeightId::global(Part::MemoryRelation), &memory.relation_rows())?,
        )?;
        let lookups = memory.lookups(places);
        let n_keys = lookups.answering.len();
        let nothing = Var::constant(Tensor::zeros((n_keys, d), HIDDEN, self.device())?);
        let objects = weights.rows(WeightId::global(Part::Embed), &lookups.tokens)?;
        let found = attention(
            &gather_rows(&queries, &lookups.asking)?,
            &gather_rows(&keys, &lookups.answering)?,
            &scatter_add_rows(&nothing, &lookups.with_token, &objects)?,
            &Sequences::new(&lookups.positions, &lookups.n_keys)?,
            &Attention {
                n_heads: 1,
                n_kv_heads: 1,
                d_head: d,
                scale: 1.0,
                mask: Mask::Bidirectional,
                window: None,
                soft_cap: None,
            },
        )?;
        let found = weights.linear(WeightId::global(Part::MemoryValue), &found)?;
        Ok(Some(Recalled { x: scatter_add_rows(x, &lookups.asking, &found)?, queries, keys }))
    }

    /// The mean embedding of each of `names`, and last zeros, for none: `[names + 1, d_embed]`.
    fn names(&self, names: &[Vec<u32>]) -> Result<Tensor> {
        let d = self.spec().d_embed();
        let mut means = Vec::with_capacity((names.len() + 1) * d);
        for name in names {
            let rows = self.weights().rows(WeightId::global(Part::Embed), name)?;
            means.extend(rows.value().mean(0)?.to_vec1::<f32>()?);
        }
        means.extend(std::iter::repeat_n(0.0, d));
        Ok(Tensor::from_vec(means, (names.len() + 1, d), self.device())?)
    }

    /// That of the numbers of the embeddings of `tokens`.
    fn root_mean_square(&self, tokens: &[u32]) -> Result<f64> {
        if tokens.is_empty() {
            return Ok(1.0);
        }
        let rows = self.weights().rows(WeightId::global(Part::Embed), tokens)?.into_value();
        Ok((sum_of_squares(&rows)? / rows.elem_count() as f64).sqrt().max(f64::MIN_POSITIVE))
    }
}
