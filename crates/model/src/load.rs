//! From the tensors of a checkpoint to the weights of a model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};
use retcon_kernels::stored::{Format, Stored};
use retcon_kernels::weight::Weight;
use sha2::{Digest, Sha256};

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::family::Family;
use crate::layout::{Form, INSIDE, Layout, Prefix, Rule};
use crate::model::{Options, Precision};
use crate::random::Random;
use crate::spec::{Head, Spec};
use crate::weight_id::{Part, WeightId};
use crate::weights::{HIDDEN, Param, Weights};

/// Where the weights of a model came from.
#[derive(Debug)]
pub struct Source {
    /// The opened checkpoint.
    pub checkpoint: Checkpoint,
    pub(crate) plan: Plan,
    /// The fingerprints of tensors that were asked for, by name.
    fingerprints: Mutex<BTreeMap<String, String>>,
}

/// Which weight lies where in a checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    places: BTreeMap<WeightId, (String, Form)>,
    /// The tensor of a weight, and another that may repeat it.
    copies: Vec<(String, String)>,
    fresh: Vec<WeightId>,
    /// The tensors that would hold them.
    names_of_fresh: Vec<String>,
    /// What the names of its tensors lack beside those of checkpoints with a head, as `bert.`.
    missing_prefix: &'static str,
    /// What such checkpoints name as their architecture.
    architecture: Option<&'static str>,
}

impl Source {
    pub(crate) fn new(checkpoint: Checkpoint, plan: Plan) -> Self {
        Self { checkpoint, plan, fingerprints: Mutex::default() }
    }

    /// The weights that the checkpoint lacks, and that were drawn.
    pub fn fresh(&self) -> &[WeightId] {
        &self.plan.fresh
    }

    /// The tensor that holds the weight `id`, by name, and in what form.
    pub fn place(&self, id: WeightId) -> Option<(&str, Form)> {
        self.plan.places.get(&id).map(|(name, form)| (name.as_str(), *form))
    }

    /// The tensor that would hold each of the weights that were drawn.
    pub(crate) fn names_of_fresh(&self) -> impl Iterator<Item = (WeightId, &str)> {
        self.plan.fresh.iter().copied().zip(self.plan.names_of_fresh.iter().map(String::as_str))
    }

    /// What the names of its tensors lack beside those of checkpoints with a head, as `bert.`.
    pub(crate) fn missing_prefix(&self) -> &'static str {
        self.plan.missing_prefix
    }

    /// What Hugging Face calls a model that lacks no weight.
    pub(crate) fn architecture(&self) -> Option<&'static str> {
        self.plan.architecture
    }

    /// The tensors that no weight is read from, and that repeat the tensor `name`.
    pub(crate) fn copies<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let tensors = &self.checkpoint.tensors;
        let repeats = move |copy: &str| match (tensors.get(copy), tensors.get(name)) {
            (Some(a), Some(b)) => same(a, b),
            _ => false,
        };
        let copies = self.plan.copies.iter().filter(move |(of, copy)| of == name && repeats(copy));
        copies.map(|(_, copy)| copy.as_str())
    }

    pub(crate) fn fingerprint(&self, id: WeightId, param: &Param) -> Result<String> {
        let Some((name, _)) = self.place(id) else {
            let numbers = param.base().to_tensor(DType::F32, &Device::Cpu)?;
            let stored = Stored::encode(&numbers, Format::F32)?;
            return Ok(hash(&format!("{id} {:?} ", stored.shape()), &stored));
        };
        let known = || self.fingerprints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fingerprint) = known().get(name) {
            return Ok(fingerprint.clone());
        }
        let tensor = self.checkpoint.tensor(name)?;
        let head = format!("{name} {} {:?} ", tensor.format(), tensor.shape());
        let fingerprint = hash(&head, tensor);
        known().insert(name.to_owned(), fingerprint.clone());
        Ok(fingerprint)
    }
}

/// The SHA-256 of `head` and the bytes of `tensor`, in hexadecimal.
fn hash(head: &str, tensor: &Stored) -> String {
    let mut hash = Sha256::new();
    hash.update(head);
    hash.update(&**tensor.bytes());
    format!("{:x}", hash.finalize())
}

/// Reads the spec, finds every weight and holds it as `options` ask.
pub(crate) fn load(checkpoint: &Checkpoint, options: &Options) -> Result<(Spec, Weights, Plan)> {
    let family = Family::of(&checkpoint.config)?;
    let mut spec = (family.spec)(checkpoint)?;
    let mut layout = (family.layout)(&spec, checkpoint.container);
    if let Some(head) = other_head(checkpoint, &spec, &layout) {
        tracing::warn!(
            "{}: the settings tie the head to the embedding, but `{head}` is there and differs from \
             it; the two are kept apart",
            checkpoint.path.display(),
        );
        untie(&mut spec);
        layout = (family.layout)(&spec, checkpoint.container);
    }
    let plan = plan(checkpoint, &spec, &layout)?;
    let mut params = BTreeMap::new();
    for (&id, (name, form)) in &plan.places {
        let weight = form.read(checkpoint.tensor(name)?, &id.part.shape(&spec))?;
        params.insert(id, Param::new(hold(weight, options)?));
    }
    if !plan.fresh.is_empty() {
        tracing::warn!(
            "{} has no head that predicts tokens; a new one is drawn (seed {}), which knows \
             nothing until it is trained",
            checkpoint.path.display(),
            options.seed,
        );
    }
    let mut random = Random::new(options.seed);
    for &id in &plan.fresh {
        params.insert(id, Param::new(fresh(id, &spec, &mut random, &options.device)?.into()));
    }
    Ok((spec, Weights::new(params, options.device.clone()), plan))
}

/// The tensor of a head of its own, where the settings say that the model has none: it was trained
/// apart from the embedding, and transformers, too, believes the tensors.
fn other_head(checkpoint: &Checkpoint, spec: &Spec, layout: &Layout) -> Option<String> {
    if !matches!(spec.head, Head::Plain { tied: true, .. }) {
        return None;
    }
    let rule = layout.rules.iter().find(|rule| rule.part == Part::Embed)?;
    let prefix = prefix(checkpoint, spec, layout);
    let name = rule.tensor_name(spec, WeightId::global(Part::Embed), prefix);
    let embed = checkpoint.tensors.get(&name)?;
    let copies = layout.copies.iter().filter(|(part, _)| *part == Part::Embed);
    let differs = |copy: &str| checkpoint.tensors.get(copy).is_some_and(|head| !same(head, embed));
    copies.map(|(_, copy)| format!("{}{copy}", prefix.beside)).find(|copy| differs(copy))
}

fn untie(spec: &mut Spec) {
    if let Head::Plain { tied, .. } = &mut spec.head {
        *tied = false;
    }
}

/// Whether two tensors are the same, to the byte.
fn same(a: &Stored, b: &Stored) -> bool {
    a.format() == b.format() && a.shape() == b.shape() && **a.bytes() == **b.bytes()
}

/// Finds the tensor of every weight, and a weight for every tensor.
fn plan(checkpoint: &Checkpoint, spec: &Spec, layout: &Layout) -> Result<Plan> {
    let tensors = &checkpoint.tensors;
    let prefix = prefix(checkpoint, spec, layout);
    let (mut places, mut fresh, mut names_of_fresh) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (id, rule) in layout.ids(spec) {
        let Rule { form, .. } = *rule;
        let usual = rule.tensor_name(spec, id, prefix);
        let name = spelling(checkpoint, layout, &usual).unwrap_or(usual);
        let Some(tensor) = tensors.get(&name) else {
            if is_optional(id.part) {
                fresh.push(id);
                names_of_fresh.push(name);
                continue;
            }
            return Err(Error::MissingTensor { path: checkpoint.path.clone(), name });
        };
        let expected = form.tensor_shape(&id.part.shape(spec));
        if tensor.shape() != expected {
            return Err(Error::TensorMismatch {
                name,
                expected: format!("shape {expected:?}"),
                found: format!("{:?}", tensor.shape()),
            });
        }
        places.insert(id, (name, form));
    }
    check_head(checkpoint, &fresh)?;
    check_nothing_is_left(checkpoint, spec, layout, &places, prefix)?;
    let copies = copies(checkpoint, layout, &places, prefix);
    let missing_prefix = if prefix.body.is_empty() { layout.prefixes[0] } else { "" };
    let architecture = layout.architecture;
    Ok(Plan { places, copies, fresh, names_of_fresh, missing_prefix, architecture })
}

/// The tensors that the layout knows as copies, where no weight is read from them.
fn copies(
    checkpoint: &Checkpoint,
    layout: &Layout,
    places: &BTreeMap<WeightId, (String, Form)>,
    prefix: Prefix,
) -> Vec<(String, String)> {
    let is_read = |name: &str| places.values().any(|(place, _)| place == name);
    let copy = |(part, copy): &(Part, &str)| {
        let copy = format!("{}{copy}", prefix.beside);
        let (name, _) = places.get(&WeightId::global(*part))?;
        let is_there = checkpoint.tensors.contains_key(&copy) && !is_read(&copy);
        is_there.then(|| (name.clone(), copy))
    };
    layout.copies.iter().filter_map(copy).collect()
}

fn prefix(checkpoint: &Checkpoint, spec: &Spec, layout: &Layout) -> Prefix {
    let plain = layout.prefixes.iter().map(|&body| Prefix { body, beside: "" });
    let first = &layout.rules[0];
    let found = |prefix: &Prefix| {
        let name = first.tensor_name(spec, WeightId::global(first.part), *prefix);
        checkpoint.tensors.contains_key(&name)
    };
    let usual = Prefix { body: layout.prefixes[0], beside: "" };
    plain.chain(INSIDE.iter().copied()).find(found).unwrap_or(usual)
}

/// The spelling of the name `usual` that the checkpoint has.
fn spelling(checkpoint: &Checkpoint, layout: &Layout, usual: &str) -> Option<String> {
    let others = layout.spellings.iter().map(|(from, to)| usual.replace(from, to));
    std::iter::once(usual.to_owned())
        .chain(others)
        .find(|name| checkpoint.tensors.contains_key(name))
}

/// Whether a checkpoint may lack a weight, which is drawn then: the head of an encoder.
fn is_optional(part: Part) -> bool {
    use Part::{HeadDense, HeadDenseBias, HeadNorm, HeadNormBias, UnembedBias};
    matches!(part, HeadDense | HeadDenseBias | HeadNorm | HeadNormBias | UnembedBias)
}

/// A head that is there in part is a broken checkpoint, not one without a head.
fn check_head(checkpoint: &Checkpoint, fresh: &[WeightId]) -> Result<()> {
    let optional = Part::ALL.iter().filter(|&&part| is_optional(part)).count();
    match fresh.first() {
        Some(id) if fresh.len() < optional => Err(Error::MissingTensor {
            path: checkpoint.path.clone(),
            name: format!("{id} (the rest of the head is there)"),
        }),
        _ => Ok(()),
    }
}

fn check_nothing_is_left(
    checkpoint: &Checkpoint,
    spec: &Spec,
    layout: &Layout,
    places: &BTreeMap<WeightId, (String, Form)>,
    prefix: Prefix,
) -> Result<()> {
    // The rest of a model that reads more than text is for that.
    let is_beside = |name: &str| INSIDE.contains(&prefix) && !name.starts_with(prefix.body);
    let used: BTreeSet<&str> = places.values().map(|(name, _)| name.as_str()).collect();
    let ignored = |name: &str| layout.ignored.iter().any(|part| name.contains(part));
    let is_left = |name: &str| !used.contains(name) && !ignored(name) && !is_beside(name);
    let left = checkpoint.tensors.keys().find(|name| is_left(name));
    match left {
        Some(name) => Err(Error::UnexpectedTensor {
            path: checkpoint.path.clone(),
            name: name.clone(),
            family: spec.family,
        }),
        None => Ok(()),
    }
}

/// The weight in the form in which the model computes with it.
fn hold(weight: Weight, options: &Options) -> Result<Weight> {
    let device = &options.device;
    if weight.dims().len() < 2 {
        return Ok(Weight::Dense(weight.to_tensor(HIDDEN, device)?));
    }
    if !device.is_cpu() {
        let dtype = match (options.precision, &weight) {
            (Precision::As(dtype), _) => dtype,
            (_, Weight::Stored(stored)) => stored.format().dense().unwrap_or(HIDDEN),
            (_, Weight::Dense(tensor)) => tensor.dtype(),
        };
        return Ok(Weight::Dense(weight.to_tensor(dtype, device)?));
    }
    let Precision::As(dtype) = options.precision else { return Ok(weight) };
    let stored = match &weight {
        Weight::Stored(stored) => stored.format().dense(),
        Weight::Dense(tensor) => Some(tensor.dtype()),
    };
    if stored == Some(dtype) {
        return Ok(weight);
    }
    let dense = weight.to_tensor(DType::F32, device)?;
    match Format::of(dtype) {
        Some(Format::F32) | None => Ok(Weight::Dense(dense)),
        Some(half) => Ok(Weight::Stored(Stored::encode(&dense, half)?)),
    }
}

/// A weight as BERT draws it: normal with deviation 0.02, biases zero, norms one.
pub(crate) fn fresh(
    id: WeightId,
    spec: &Spec,
    random: &mut Random,
    device: &Device,
) -> Result<Tensor> {
    let shape = id.part.shape(spec);
    let n = shape.iter().product();
    let numbers: Vec<f32> = match id.part {
        part if part.is_norm() => vec![1.0; n],
        part if part.is_linear() || part.is_table() => {
            (0..n).map(|_| (0.02 * random.normal()) as f32).collect()
        }
        _ => vec![0.0; n],
    };
    Ok(Tensor::from_vec(numbers, shape, device)?)
}
