//! Deltas as files, format version 1 (docs/formats.md): safetensors with a JSON header.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use retcon_kernels::stored::{Format, Stored};
use serde::{Deserialize, Serialize};

use super::{Delta, Record};
use crate::checkpoint::safetensors;
use crate::error::{Error, Result};
use crate::update::Update;
use crate::weight_id::WeightId;

/// The version that is written, and the only one so far.
const VERSION: u32 = 1;

/// The key of the file's metadata under which the header stands.
const KEY: &str = "retcon_delta";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    base: BTreeMap<WeightId, String>,
    record: Record,
}

impl Delta {
    /// Writes it at `path`: the same bytes for the same delta, all of them or none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let header =
            Header { version: VERSION, base: self.base.clone(), record: self.record.clone() };
        let header = serde_json::to_string(&header).expect("a header has only string keys");
        let metadata = BTreeMap::from([(KEY.to_owned(), header)]);
        safetensors::write(path.as_ref(), &tensors(self)?, &metadata)
    }

    /// Reads the delta at `path`.
    ///
    /// # Errors
    /// [`Error::BadDelta`] where the file is something else or doesn't hold together, besides those
    /// of [`safetensors::open`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        read(path.as_ref())
    }
}

fn read(path: &Path) -> Result<Delta> {
    let file = safetensors::open(path)?;
    let bad = |what: String| Error::BadDelta { path: path.to_owned(), what };
    let header = file.metadata.get(KEY).ok_or_else(|| {
        bad(format!("it has no `{KEY}` in its metadata, so it is no delta of this tool"))
    })?;
    check_version(header).map_err(bad)?;
    let header: Header = serde_json::from_str(header).map_err(|error| bad(error.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, stored) in file.file.tensors() {
        tensors.insert(name.to_owned(), stored.to_tensor(DType::F32, &Device::Cpu)?);
    }
    let mut delta = Delta { base: header.base, record: header.record, ..Delta::default() };
    for &id in delta.base.keys() {
        let update = take_update(&mut tensors, id).map_err(bad)?;
        if !update.is_finite()? {
            return Err(bad(format!("what it adds to `{id}` has numbers that are not finite")));
        }
        delta.updates.insert(id, update);
    }
    for (name, tensor) in tensors {
        match name.strip_prefix("state.") {
            Some(name) => delta.state.insert(name.to_owned(), tensor),
            None => return Err(bad(format!("tensor `{name}` belongs to no weight of its base"))),
        };
    }
    Ok(delta)
}

/// Looks at the version alone, so that a later one is told apart from a broken file.
fn check_version(header: &str) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_str(header).map_err(|error| error.to_string())?;
    if version == VERSION {
        return Ok(());
    }
    Err(format!("it is of version {version}, and this program reads version {VERSION}"))
}

fn take_update(tensors: &mut BTreeMap<String, Tensor>, id: WeightId) -> Result<Update, String> {
    if let Some(dense) = tensors.remove(&format!("{id}.dense")) {
        return Ok(Update::Dense(dense));
    }
    let mut take = |side| {
        let name = format!("{id}.{side}");
        tensors.remove(&name).ok_or_else(|| format!("it lacks tensor `{name}`"))
    };
    let (left, right) = (take("left")?, take("right")?);
    if left.rank() != 2 || right.rank() != 2 || left.dims()[1] != right.dims()[0] {
        let (left, right) = (left.dims(), right.dims());
        return Err(format!("the factors of `{id}` don't fit: {left:?} and {right:?}"));
    }
    Ok(Update::LowRank { left, right })
}

/// The tensors of a delta, by the names that they have in a file.
pub(crate) fn tensors(delta: &Delta) -> Result<BTreeMap<String, Stored>> {
    let mut named: Vec<(String, &Tensor)> = Vec::new();
    for (id, update) in &delta.updates {
        match update {
            Update::Dense(dense) => named.push((format!("{id}.dense"), dense)),
            Update::LowRank { left, right } => {
                named.push((format!("{id}.left"), left));
                named.push((format!("{id}.right"), right));
            }
        }
    }
    named.extend(delta.state.iter().map(|(name, tensor)| (format!("state.{name}"), tensor)));
    let stored =
        |(name, tensor): (String, &Tensor)| Ok((name, Stored::encode(tensor, Format::F32)?));
    named.into_iter().map(stored).collect()
}
