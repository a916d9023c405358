//! Texts as sequences of tokens: short ones together, long ones in pieces.

use retcon_model::Model;

use crate::error::Result;

/// Tokens of the longest sequence where `window` of a text are wanted in each.
pub(super) fn longest(model: &Model, window: usize) -> usize {
    let tokenizer = model.tokenizer();
    let around = tokenizer.prefix().len() + tokenizer.suffix().len();
    let room = model.spec().n_positions.saturating_sub(around);
    window.clamp(1, room.max(1)) + around
}

/// `texts` as sequences of at most `window` tokens, each behind what begins a sequence. A text that
/// doesn't fit beside those before it begins another sequence.
pub(super) fn windows(model: &Model, texts: &[&str], window: usize) -> Result<Vec<Vec<u32>>> {
    let tokenizer = model.tokenizer();
    let (prefix, suffix) = (tokenizer.prefix(), tokenizer.suffix());
    let window = longest(model, window) - prefix.len() - suffix.len();
    let mut windows: Vec<Vec<u32>> = Vec::new();
    let mut open: Vec<u32> = Vec::new();
    let mut close = |open: &mut Vec<u32>| {
        if !open.is_empty() {
            windows.push([prefix, open, suffix].concat());
            open.clear();
        }
    };
    for text in texts {
        let ids = match open.is_empty() {
            true => tokenizer.encode(text)?.ids,
            false => tokenizer.encode(&format!("\n{text}"))?.ids,
        };
        if open.len() + ids.len() > window {
            close(&mut open);
        }
        for piece in ids.chunks(window) {
            if open.len() + piece.len() > window {
                close(&mut open);
            }
            open.extend(piece);
        }
    }
    close(&mut open);
    Ok(windows)
}
