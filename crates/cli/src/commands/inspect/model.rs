//! A model: family and sizes, how its numbers are stored, its sites, its tokenizer.

use std::collections::BTreeMap;

use anyhow::Result;
use retcon::model::{Container, Site, Spec, Spot, Tokenizer};
use retcon::{Model, Precision};
use serde_json::{Value, json};

use super::words;
use crate::commands::Outcome;
use crate::model_ref::ModelRef;
use crate::render::{bold, bytes, count, pairs, right, table};
use crate::shell::Shell;

/// Tensors of one format.
#[derive(Default)]
struct Stored {
    n_tensors: usize,
    n_numbers: usize,
    n_bytes: u64,
}

/// Describes the model.
pub(super) fn inspect(shell: &Shell, reference: &ModelRef) -> Result<Outcome> {
    let model = reference.open(shell, &[])?;
    let (spec, formats) = (model.spec(), formats(&model));
    let head = |title: &str| bold().apply_to(title).to_string();
    shell.say(pairs(facts(shell, &model, reference, &formats)?))?;
    shell.say(format!("\n{}\n{}", head("stored as"), format_rows(&formats)))?;
    shell.say(format!("\n{}\n{}", head("sites"), site_rows(spec)))?;
    shell.say(format!("\n{}\n{}", head("tokenizer"), pairs(tokenizer(model.tokenizer()))))?;
    shell.emit(&to_json(&model, reference, &formats)?)?;
    Ok(Outcome::Done)
}

fn facts(
    shell: &Shell,
    model: &Model,
    reference: &ModelRef,
    formats: &BTreeMap<String, Stored>,
) -> Result<Vec<(&'static str, String)>> {
    let spec = model.spec();
    let kind = if spec.is_causal() { "decoder" } else { "encoder" };
    let heads = match spec.n_heads == spec.n_kv_heads {
        true => format!("{} of width {}", spec.n_heads, spec.d_head),
        false => {
            let (heads, shared, width) = (spec.n_heads, spec.n_kv_heads, spec.d_head);
            format!("{heads} of width {width}, over {shared} of keys and values")
        }
    };
    let container = match model.source().checkpoint.container {
        Container::HuggingFace => "Hugging Face folder",
        Container::Gguf => "GGUF",
    };
    let n_numbers: usize = formats.values().map(|stored| stored.n_numbers).sum();
    let mut facts = vec![
        ("model", format!("{reference} ({container})")),
        ("family", format!("{}, {kind}", spec.family)),
        ("parameters", count(n_numbers)),
        ("memory", memory(shell, formats, n_numbers)),
        ("blocks", blocks(spec)),
        ("width", widths(spec)),
        ("heads", heads),
        ("vocabulary", count(spec.n_vocab)),
        ("positions", count(spec.n_positions)),
        ("MLP", format!("{}{}", spec.activation, if spec.gated { ", gated" } else { "" })),
        ("norm", words::norm(spec)),
        ("position", words::position(spec)),
    ];
    let fresh: Vec<_> = model.source().fresh().iter().map(ToString::to_string).collect();
    if !fresh.is_empty() {
        facts.push(("fresh", format!("drawn, not in the checkpoint: {}", fresh.join(", "))));
    }
    let deltas = model.deltas().iter().map(|delta| delta.id()).collect::<Result<Vec<_>, _>>()?;
    if !deltas.is_empty() {
        facts.push(("deltas", deltas.join(", ")));
    }
    Ok(facts)
}

fn widths(spec: &Spec) -> String {
    let embeddings = spec.factorized.map(|width| format!(", {width} in the embeddings"));
    format!("{}, {} in the MLP{}", spec.d_model, spec.d_mlp, embeddings.unwrap_or_default())
}

fn blocks(spec: &Spec) -> String {
    let (n_blocks, n_stored) = (spec.n_blocks, spec.n_stored_blocks());
    match n_blocks == n_stored {
        true => n_blocks.to_string(),
        false => format!("{n_blocks}, which share the weights of {n_stored}"),
    }
}

fn formats(model: &Model) -> BTreeMap<String, Stored> {
    let mut formats: BTreeMap<String, Stored> = BTreeMap::new();
    for tensor in model.source().checkpoint.tensors.values() {
        let stored = formats.entry(tensor.format().to_string()).or_default();
        stored.n_tensors += 1;
        stored.n_numbers += tensor.shape().iter().product::<usize>();
        stored.n_bytes += tensor.bytes().len() as u64;
    }
    formats
}

fn memory(shell: &Shell, formats: &BTreeMap<String, Stored>, n_numbers: usize) -> String {
    let on_disk = formats.values().map(|stored| stored.n_bytes).sum();
    match shell.options.precision {
        Precision::Stored if shell.options.device.is_cpu() => {
            format!("{}, mapped and decoded on use", bytes(on_disk))
        }
        Precision::Stored => format!("{} on disk", bytes(on_disk)),
        Precision::As(dtype) => {
            let held = (n_numbers * dtype.size_in_bytes()) as u64;
            format!("about {} as {dtype:?}, {} on disk", bytes(held), bytes(on_disk))
        }
    }
}

fn format_rows(formats: &BTreeMap<String, Stored>) -> String {
    let mut table = table(["format", "tensors", "numbers", "size"]);
    for (format, stored) in formats {
        let (tensors, numbers) = (count(stored.n_tensors), count(stored.n_numbers));
        table.add_row([format, &tensors, &numbers, &bytes(stored.n_bytes)]);
    }
    right(&mut table, &[1, 2, 3]);
    table.trim_fmt()
}

/// Every site that the model has, with `B` for the number of a block, and its width.
fn sites(spec: &Spec) -> Vec<(String, usize)> {
    let spots = Spot::ALL.iter().filter(|&&spot| spec.gated || spot != Spot::MlpGate);
    let of_block = spots.map(|spot| (format!("blocks.B.{}", spot.name()), width(*spot, spec)));
    let first = (Site::Embed.to_string(), spec.d_model);
    let last = (Site::Final.to_string(), spec.d_embed());
    std::iter::once(first).chain(of_block).chain([last]).collect()
}

fn width(spot: Spot, spec: &Spec) -> usize {
    match spot {
        Spot::AttnMix => spec.n_heads * spec.d_head,
        Spot::MlpUp | Spot::MlpGate | Spot::MlpKey => spec.d_mlp,
        _ => spec.d_model,
    }
}

fn site_rows(spec: &Spec) -> String {
    let mut table = table(["site", "shape"]);
    for (site, width) in sites(spec) {
        table.add_row([site, format!("[position, {width}]")]);
    }
    format!("{}\nwith B from 0 to {}", table.trim_fmt(), spec.n_blocks.saturating_sub(1))
}

fn tokenizer(tokenizer: &Tokenizer) -> Vec<(&'static str, String)> {
    let name = |id: &u32| tokenizer.token(*id).unwrap_or_else(|| format!("#{id}"));
    let names = |ids: &[u32]| match ids {
        [] => "nothing".to_owned(),
        ids => ids.iter().map(name).collect::<Vec<_>>().join(" "),
    };
    let mask = tokenizer.mask().map_or("none".to_owned(), |id| name(&id));
    vec![
        ("tokens", count(tokenizer.n_vocab())),
        ("before a text", names(tokenizer.prefix())),
        ("after a text", names(tokenizer.suffix())),
        ("ends a text", names(tokenizer.eos())),
        ("mask", mask),
    ]
}

fn to_json(
    model: &Model,
    reference: &ModelRef,
    formats: &BTreeMap<String, Stored>,
) -> Result<Value> {
    let (spec, tokenizer) = (model.spec(), model.tokenizer());
    let formats = formats.iter().map(|(format, s)| {
        json!({"format": format, "n_tensors": s.n_tensors, "n_numbers": s.n_numbers, "bytes": s.n_bytes})
    });
    let sites = sites(spec).into_iter().map(|(site, width)| json!({"site": site, "width": width}));
    let deltas = model.deltas().iter().map(|delta| delta.id()).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({
        "model": reference.to_string(),
        "container": match model.source().checkpoint.container {
            Container::HuggingFace => "folder",
            Container::Gguf => "gguf",
        },
        "family": spec.family,
        "is_decoder": spec.is_causal(),
        "n_blocks": spec.n_blocks,
        "n_stored_blocks": spec.n_stored_blocks(),
        "d_model": spec.d_model,
        "d_embed": spec.d_embed(),
        "d_mlp": spec.d_mlp,
        "n_heads": spec.n_heads,
        "n_kv_heads": spec.n_kv_heads,
        "d_head": spec.d_head,
        "n_vocab": spec.n_vocab,
        "n_positions": spec.n_positions,
        "formats": formats.collect::<Vec<_>>(),
        "sites": sites.collect::<Vec<_>>(),
        "fresh": model.source().fresh(),
        "tokenizer": {
            "n_vocab": tokenizer.n_vocab(),
            "prefix": tokenizer.prefix(),
            "suffix": tokenizer.suffix(),
            "eos": tokenizer.eos(),
            "mask": tokenizer.mask(),
        },
        "deltas": deltas,
    }))
}
