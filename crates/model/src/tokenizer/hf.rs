//! The tokenizer of a Hugging Face folder: `tokenizer.json` and the settings around it.

use std::path::Path;

use serde_json::Value;

use super::{Special, Tokenizer};
use crate::checkpoint::Config;
use crate::error::{Error, Result};

/// What tokenizers are kept in that transformers makes a `tokenizer.json` of.
const OLDER: [&str; 4] = ["tokenizer.model", "vocab.json", "merges.txt", "vocab.txt"];

/// What masks are called where no file says which token is one.
const MASKS: [&str; 2] = ["[MASK]", "<mask>"];

pub(super) fn build(folder: &Path) -> Result<Tokenizer> {
    let path = folder.join("tokenizer.json");
    if !path.is_file() {
        let found = OLDER.into_iter().filter(|name| folder.join(name).is_file()).collect();
        return Err(Error::NoTokenizer { folder: folder.to_owned(), found });
    }
    let mut inner = tokenizers::Tokenizer::from_file(&path).map_err(Error::tokenizer(&path))?;
    let (prefix, suffix) = frame(&mut inner).map_err(Error::tokenizer(&path))?;
    let settings = Config::read_or_empty(&folder.join("tokenizer_config.json"))?;
    let token = |key| special_token(&settings, key).and_then(|text| inner.token_to_id(text));
    let mut special = Special { prefix, suffix, bos: token("bos_token"), ..Special::default() };
    special.mask = token("mask_token").or_else(|| MASKS.iter().find_map(|m| inner.token_to_id(m)));
    token("eos_token").into_iter().for_each(|id| special.add_eos(id));
    for file in ["generation_config.json", "config.json"] {
        let model = Config::read_or_empty(&folder.join(file))?;
        special.bos = special.bos.or_else(|| ids(&model, "bos_token_id").first().copied());
        ids(&model, "eos_token_id").into_iter().for_each(|id| special.add_eos(id));
    }
    let eos = special.eos.first().copied();
    settle(&mut special.prefix, special.bos, settings.find("add_bos_token")?);
    settle(&mut special.suffix, eos, settings.find("add_eos_token")?);
    Tokenizer::new(&path, inner, special)
}

/// What the post-processor puts before and after a text, which padding would hide.
fn frame(inner: &mut tokenizers::Tokenizer) -> tokenizers::Result<(Vec<u32>, Vec<u32>)> {
    inner.with_padding(None);
    let framed = inner.encode("a", true)?;
    let (ids, added) = (framed.get_ids(), framed.get_special_tokens_mask());
    let n_prefix = added.iter().take_while(|&&added| added == 1).count();
    let n_suffix = added.iter().rev().take_while(|&&added| added == 1).count();
    let suffix = ids.len().saturating_sub(n_suffix).max(n_prefix);
    Ok((ids[..n_prefix].to_vec(), ids[suffix..].to_vec()))
}

/// Makes what surrounds a text hold the mark `id` or not, where a setting says so. Marks of other
/// kinds, such as BERT's, are none of its business.
fn settle(frame: &mut Vec<u32>, id: Option<u32>, add: Option<bool>) {
    match (add, id) {
        (Some(true), Some(id)) if frame.is_empty() => frame.push(id),
        (Some(false), Some(id)) if *frame == [id] => frame.clear(),
        _ => {}
    }
}

/// The text of a special token, which is given plainly or with its properties.
fn special_token<'a>(settings: &'a Config, key: &str) -> Option<&'a str> {
    let value = settings.value(key)?;
    value.as_str().or_else(|| value.get("content").and_then(Value::as_str))
}

/// One id, or a list of them.
fn ids(settings: &Config, key: &str) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match settings.value(key) {
        Some(Value::Array(ids)) => ids.iter().filter_map(id).collect(),
        one => one.and_then(id).into_iter().collect(),
    }
}
