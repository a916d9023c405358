//! Models of the Hugging Face hub, in the cache that its other tools use too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo};
use indicatif::ProgressBar;

use super::{Pulse, watched};
use crate::failure::{advised, message};
use crate::render::progress;
use crate::shell::Shell;

/// How long the hub may take to answer.
const PATIENCE: Duration = Duration::from_secs(6);

/// How long a download may stand still.
const STALL: Duration = Duration::from_secs(30);

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The files of a model folder that are needed, and those that are taken along.
const NEEDED: [&str; 2] = ["config.json", "tokenizer.json"];
const WELCOME: [&str; 3] =
    ["tokenizer_config.json", "generation_config.json", "special_tokens_map.json"];

/// A repository, and the cache that its files go to.
pub(super) struct Hub {
    repo: Repo,
    cache: Cache,
}

impl Hub {
    pub(super) fn new(repo: Repo, cache: Cache) -> Self {
        Self { repo, cache }
    }

    fn cached(&self, file: &str) -> Option<PathBuf> {
        self.cache.repo(self.repo.clone()).get(file)
    }

    fn api(&self) -> Result<ApiRepo> {
        Ok(connect(&self.cache)?.repo(self.repo.clone()))
    }

    /// The file `file`, from the cache or the hub. An interrupted download goes on where it was.
    pub(super) fn get(&self, shell: &Shell, file: &str) -> Result<PathBuf> {
        if let Some(path) = self.cached(file) {
            return Ok(path);
        }
        let api = self.api()?;
        // Asked first, with less patience, so that an unreachable hub is found out soon.
        let (client, url) = (connect(&self.cache)?, api.url(file));
        let found = watched(shell, PATIENCE, move |_| client.metadata(&url))?;
        let size = found.map_err(explain)?.size() as u64;
        let bar = progress::bytes(shell, file.to_owned(), size);
        let (name, shown) = (file.to_owned(), bar.clone());
        let path = watched(shell, STALL, move |pulse| {
            api.download_with_progress(&name, Meter { bar: shown, pulse: pulse.clone() })
        })?;
        bar.finish_and_clear();
        path.map_err(explain)
    }

    /// The names of all files.
    fn list(&self, shell: &Shell) -> Result<Vec<String>> {
        let api = self.api()?;
        let info = watched(shell, PATIENCE, move |_| api.info())?.map_err(explain)?;
        Ok(info.siblings.into_iter().map(|file| file.rfilename).collect())
    }

    /// The folder of the model in the cache, where all that is needed of it is there.
    fn complete(&self) -> Option<PathBuf> {
        let config = self.cached(NEEDED[0])?;
        let folder = config.parent()?.to_owned();
        let has = |file: &str| folder.join(file).is_file();
        let whole = match shards(&folder.join(INDEX)) {
            Ok(shards) => shards.iter().all(|shard| has(shard)),
            Err(_) => has(WEIGHTS),
        };
        (whole && NEEDED.iter().all(|file| has(file))).then_some(folder)
    }
}

/// The file `file` of the repository `id`.
pub(crate) fn file(shell: &Shell, id: &str, file: &str) -> Result<PathBuf> {
    let hub = Hub::new(Repo::model(id.to_owned()), Cache::from_env());
    hub.get(shell, file).map_err(|error| unreachable(&format!("{id}:{file}"), error))
}

/// The folder of the model in the repository `id`.
pub(crate) fn folder(shell: &Shell, id: &str) -> Result<PathBuf> {
    let hub = Hub::new(Repo::model(id.to_owned()), Cache::from_env());
    if let Some(folder) = hub.complete() {
        return Ok(folder);
    }
    download(shell, &hub, id).map_err(|error| unreachable(id, error))
}

fn download(shell: &Shell, hub: &Hub, id: &str) -> Result<PathBuf> {
    let files = hub.list(shell)?;
    let has = |file: &str| files.iter().any(|name| name == file);
    if let Some(missing) = NEEDED.iter().find(|file| !has(file)) {
        let gguf = files.iter().find(|file| file.ends_with(".gguf"));
        let hint = match gguf {
            Some(file) => format!("name one of its GGUF files, such as {id}:{file}"),
            None => "take a model that is published with safetensors and tokenizer.json".to_owned(),
        };
        return Err(advised(format!("{id} has no {missing} on the hub"), hint));
    }
    let wanted = NEEDED.iter().chain(WELCOME.iter().filter(|file| has(file)));
    // Where the model changed upstream between two runs, its files lie in two folders at first.
    for _ in 0..2 {
        for file in wanted.clone() {
            hub.get(shell, file)?;
        }
        if has(WEIGHTS) {
            hub.get(shell, WEIGHTS)?;
        } else {
            for shard in shards(&hub.get(shell, INDEX)?)? {
                hub.get(shell, &shard)?;
            }
        }
        if let Some(folder) = hub.complete() {
            return Ok(folder);
        }
    }
    bail!("its files in the cache do not belong together")
}

/// The files that the index at `path` names.
fn shards(path: &Path) -> Result<Vec<String>> {
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let map = index["weight_map"].as_object().context("the index has no weight_map")?;
    let mut shards: Vec<_> = map.values().filter_map(|v| v.as_str()).map(str::to_owned).collect();
    shards.sort();
    shards.dedup();
    Ok(shards)
}

fn connect(cache: &Cache) -> Result<Api> {
    let mut builder = ApiBuilder::from_env().with_progress(false);
    builder = builder.with_cache_dir(cache.path().clone());
    if let Ok(token) = std::env::var("HF_TOKEN") {
        builder = builder.with_token(Some(token));
    }
    Ok(builder.build()?)
}

/// What the hub's answer means.
fn explain(error: ApiError) -> anyhow::Error {
    let text = error.to_string();
    for (status, meaning) in [
        ("401", "it does not exist, or takes a token (HF_TOKEN) to see"),
        ("403", "the token (HF_TOKEN) does not allow it"),
        ("404", "there is no such repository or file"),
    ] {
        if text.contains(&format!("status: {status}")) {
            return anyhow::anyhow!("{meaning} ({text})");
        }
    }
    error.into()
}

fn unreachable(what: &str, error: anyhow::Error) -> anyhow::Error {
    if error.is::<crate::failure::Advised>() || error.is::<retcon::Error>() {
        return error;
    }
    advised(
        format!("cannot get {what} from the hub: {}", message(&error)),
        "a model on this machine works without the hub: name its folder or .gguf file instead",
    )
}

/// Shows a download, and that it is alive.
struct Meter {
    bar: ProgressBar,
    pulse: Pulse,
}

impl hf_hub::api::Progress for Meter {
    fn init(&mut self, size: usize, _: &str) {
        self.bar.set_length(size as u64);
        self.bar.set_position(0);
        self.pulse.beat();
    }

    fn update(&mut self, size: usize) {
        self.bar.inc(size as u64);
        self.pulse.beat();
    }

    fn finish(&mut self) {}
}
