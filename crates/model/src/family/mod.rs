//! The model families: one file each, one line each in [`FAMILIES`].

mod albert;
mod bert;
mod gemma;
mod gpt2;
mod gptj;
mod llama;
mod neox;
mod olmo;
mod phi3;
mod positions;
mod qwen;

use std::borrow::Cow;

use retcon_kernels::activation::Activation;
use retcon_kernels::attention::Mask;
use serde_json::Value;

use crate::checkpoint::{Checkpoint, Config, Container, OUTER, Setting};
use crate::error::{Error, Result};
use crate::layout::{Form, Layout, Rule};
use crate::spec::{Biases, Head, Norm, NormOrder, Position, QkNorm, Residual, Spec};
use crate::weight_id::Part;

/// All families, in the order in which they are asked.
pub const FAMILIES: &[Family] = &[
    llama::FAMILY,
    qwen::FAMILY,
    gemma::FAMILY,
    gpt2::FAMILY,
    gptj::FAMILY,
    neox::FAMILY,
    phi3::FAMILY,
    olmo::FAMILY,
    bert::FAMILY,
    albert::FAMILY,
];

/// The `model_type`s of models that read more than text, and whose language model reads text alone just
/// as it does by itself.
const AROUND: &[&str] =
    &["gemma3", "mistral3", "llava", "llava_next", "llava_onevision", "smolvlm", "idefics3"];

/// A model family: how its configuration reads, and where its weights lie. All that the rest of
/// the crate knows of a family is in the [`Spec`] and the [`Layout`] that it makes.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// The models that it covers, in words.
    pub covers: &'static str,
    /// The `model_type`s of `config.json`, and the architectures of GGUF files.
    pub model_types: &'static [&'static str],
    /// Reads the sizes and choices.
    pub spec: fn(&Checkpoint) -> Result<Spec>,
    /// Where the weights of a model lie.
    pub layout: fn(&Spec, Container) -> Layout,
}

impl Family {
    /// The family of a checkpoint.
    ///
    /// # Errors
    /// [`Error::UnknownFamily`], which names the known ones.
    pub fn of(config: &Config) -> Result<&'static Self> {
        let known = || FAMILIES.iter().flat_map(|family| family.model_types).copied();
        let unknown = |found, known: Vec<_>| {
            Err(Error::UnknownFamily { path: config.path().to_owned(), found, known })
        };
        if let Some(outer) = config.find::<String>(OUTER)?
            && !AROUND.contains(&outer.as_str())
        {
            return unknown(outer, known().chain(AROUND.iter().copied()).collect());
        }
        let model_type: String = config.get("model_type")?;
        let found = FAMILIES.iter().find(|f| f.model_types.contains(&model_type.as_str()));
        found.map_or_else(|| unknown(model_type, known().collect()), Ok)
    }
}

/// The checkpoint with the settings `usual` where a folder leaves them out, as transformers has them.
fn complete<'a>(checkpoint: &'a Checkpoint, usual: &Value) -> Cow<'a, Checkpoint> {
    if checkpoint.container != Container::HuggingFace || usual.is_null() {
        return Cow::Borrowed(checkpoint);
    }
    let mut complete = checkpoint.clone();
    complete.config = checkpoint.config.or(usual);
    Cow::Owned(complete)
}

/// Rules for weights that lie in tensors of their own.
fn plain(rules: &[(Part, &'static str)]) -> Vec<Rule> {
    rules.iter().map(|&(part, name)| Rule::new(part, name, Form::Plain)).collect()
}

const QKV: [Part; 3] = [Part::Q, Part::K, Part::V];
const QKV_BIASES: [Part; 3] = [Part::QBias, Part::KBias, Part::VBias];

/// Rules for the weights `parts` that share the tensor `name`, the part `i` in the form `form(i)`.
fn fused<const N: usize>(
    name: &'static str,
    parts: [Part; N],
    form: impl Fn(usize) -> Form,
) -> impl Iterator<Item = Rule> {
    parts.into_iter().enumerate().map(move |(index, part)| Rule::new(part, name, form(index)))
}

/// What all decoders of GGUF files call alike.
fn gguf_decoder() -> Vec<Rule> {
    plain(&[
        (Part::Embed, "token_embd.weight"),
        (Part::AttnNorm, "blk.{b}.attn_norm.weight"),
        (Part::O, "blk.{b}.attn_output.weight"),
        (Part::MlpNorm, "blk.{b}.ffn_norm.weight"),
        (Part::Up, "blk.{b}.ffn_up.weight"),
        (Part::Down, "blk.{b}.ffn_down.weight"),
        (Part::FinalNorm, "output_norm.weight"),
    ])
}

/// Far more blocks than any model has.
const MOST_BLOCKS: usize = 10_000;

/// The sizes that every family has, under the names that Hugging Face gives them.
struct Sizes {
    n_vocab: usize,
    n_blocks: usize,
    d_model: usize,
    n_heads: usize,
    n_kv_heads: usize,
    d_head: usize,
    n_positions: usize,
}

impl Sizes {
    fn read(config: &Config) -> Result<Self> {
        let at_least_one = |key: &str| match config.get::<usize>(key)? {
            0 => Err(config.bad(key, "at least 1", "0")),
            n => Ok(n),
        };
        // Lists of so many entries are made before any tensor of a block is found missing.
        let n_blocks = at_least_one("num_hidden_layers")?;
        if n_blocks > MOST_BLOCKS {
            let expected = format!("at most {MOST_BLOCKS}");
            return Err(config.bad("num_hidden_layers", expected, n_blocks.to_string()));
        }
        let d_model = at_least_one("hidden_size")?;
        let n_heads = at_least_one("num_attention_heads")?;
        let n_kv_heads = config.get_or("num_key_value_heads", n_heads)?;
        if n_kv_heads == 0 || n_heads % n_kv_heads != 0 {
            let expected = format!("a divisor of the {n_heads} query heads");
            return Err(config.bad("num_key_value_heads", expected, n_kv_heads.to_string()));
        }
        let d_head = match config.find::<usize>("head_dim")? {
            Some(d_head) => d_head,
            None if d_model % n_heads == 0 => d_model / n_heads,
            None => {
                let expected = format!("a multiple of the {n_heads} heads");
                return Err(config.bad("hidden_size", expected, d_model.to_string()));
            }
        };
        if d_head == 0 {
            return Err(config.bad("head_dim", "at least 1", "0"));
        }
        Ok(Self {
            n_vocab: at_least_one("vocab_size")?,
            n_blocks,
            d_model,
            n_heads,
            n_kv_heads,
            d_head,
            n_positions: positions::n_positions(config, at_least_one("max_position_embeddings")?)?,
        })
    }

    /// A decoder of these sizes that makes the commonest choices; a family says where it differs.
    fn decoder(&self, family: &'static str) -> Spec {
        Spec {
            family,
            n_vocab: self.n_vocab,
            n_blocks: self.n_blocks,
            groups: None,
            d_model: self.d_model,
            factorized: None,
            d_mlp: 4 * self.d_model,
            n_heads: self.n_heads,
            n_kv_heads: self.n_kv_heads,
            d_head: self.d_head,
            n_positions: self.n_positions,
            mask: Mask::Causal,
            windows: vec![None; self.n_blocks],
            attention_scale: vec![(self.d_head as f64).sqrt().recip(); self.n_blocks],
            attention_cap: None,
            norm: Norm::Layer { eps: 1e-5 },
            norm_order: NormOrder::Pre,
            residual: Residual::Sequential,
            qk_norm: QkNorm::None,
            position: Position::Learned,
            embed_scale: 1.0,
            activation: Activation::GeluTanh,
            gated: false,
            biases: Biases::default(),
            n_segments: 0,
            head: Head::Plain { tied: false, bias: false },
            logit_cap: None,
            memory: None,
        }
    }
}

/// The nonlinearity that the setting `key` names, or else `default`.
fn activation(config: &Config, key: &str, default: &str) -> Result<Activation> {
    Ok(match config.get_or(key, default.to_owned())?.as_str() {
        "silu" | "swish" => Activation::Silu,
        "gelu" => Activation::GeluErf,
        "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Activation::GeluTanh,
        "relu" => Activation::Relu,
        other => return Err(config.bad(key, "silu, gelu, gelu_new or relu", other)),
    })
}

/// The setting `key`, which `null` switches off. Where a folder says nothing of it, it is `usual`, as in
/// transformers; what a GGUF file says nothing of, its model hasn't.
fn switchable<T: Setting>(checkpoint: &Checkpoint, key: &str, usual: T) -> Result<Option<T>> {
    match checkpoint.container {
        Container::HuggingFace => checkpoint.config.find_or(key, usual),
        Container::Gguf => checkpoint.config.find(key),
    }
}

/// The window of local attention in Mistral and Gemma where nothing is said of it.
const WINDOW: usize = 4096;

/// The windows of blocks, of which those see no more than `window` that are `local`.
fn windows(window: Option<usize>, local: &[bool]) -> Vec<Option<usize>> {
    // GGUF files of Phi 4 say 0 where there is none.
    let window = window.filter(|&window| window > 0);
    local.iter().map(|&local| window.filter(|_| local)).collect()
}

/// Which blocks see a window only, where `layer_types` names each.
fn named_local(config: &Config, n_blocks: usize) -> Result<Option<Vec<bool>>> {
    const KEY: &str = "layer_types";
    let Some(kinds) = config.find::<Vec<String>>(KEY)? else { return Ok(None) };
    one_each(config, KEY, kinds.len(), n_blocks)?;
    let is_local = |kind: String| match kind.as_str() {
        "sliding_attention" => Ok(true),
        "full_attention" => Ok(false),
        _ => Err(config.bad(KEY, "full_attention or sliding_attention", kind)),
    };
    kinds.into_iter().map(is_local).collect::<Result<_>>().map(Some)
}

/// Which blocks see a window only by `sliding_window_pattern`: as its list has it, all or none, or all
/// but the last of each few, of `usual` where nothing is said.
fn local_by_pattern(config: &Config, n_blocks: usize, usual: usize) -> Result<Vec<bool>> {
    const KEY: &str = "sliding_window_pattern";
    match config.value(KEY) {
        Some(Value::Array(list)) => {
            one_each(config, KEY, list.len(), n_blocks)?;
            config.get(KEY)
        }
        Some(Value::Bool(all)) => Ok(vec![*all; n_blocks]),
        _ => match config.get_or(KEY, usual)? {
            0 => Err(config.bad(KEY, "at least 1", "0")),
            period => Ok((1..=n_blocks).map(|nth| nth % period != 0).collect()),
        },
    }
}

fn one_each(config: &Config, key: &str, n: usize, n_blocks: usize) -> Result<()> {
    let expected = || format!("one for each of the {n_blocks} blocks");
    if n == n_blocks { Ok(()) } else { Err(config.bad(key, expected(), n.to_string())) }
}

#[cfg(test)]
mod tests;
