//! The real Gemma 3 270M from GGUF, where `RETCON_GEMMA3_GGUF` names the file.

use std::path::PathBuf;

use retcon_model::generate::{Sampling, candidates, generate};
use retcon_model::{Batch, Model, Options};

use crate::{fixture, ids};

/// In nats. The reference decodes the same file to `f32`; what is left is the order of sums
/// through 18 blocks.
const TOLERANCE: f64 = 1e-3;

#[test]
fn gemma3_predicts_what_the_reference_predicts() {
    #[expect(clippy::disallowed_methods, reason = "says where the real model is")]
    let Some(path) = std::env::var_os("RETCON_GEMMA3_GGUF").map(PathBuf::from) else {
        return;
    };
    let model = Model::open(&path, &Options::default()).unwrap();
    let text = std::fs::read_to_string(fixture("gemma3-270m").join("top5.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let prompts = expected["prompts"].as_array().unwrap();
    assert_eq!(prompts.len(), 8);
    for prompt in prompts {
        let text = prompt["prompt"].as_str().unwrap();
        let tokenizer = model.tokenizer();
        let tokens = [tokenizer.prefix(), &tokenizer.encode(text).unwrap().ids].concat();
        assert_eq!(tokens, ids(&prompt["ids"]), "{text:?}");
        let batch = Batch::new([&tokens]).unwrap();
        let found = candidates(&model, &batch, tokens.len() as u32 - 1, 5).unwrap();
        for (found, expected) in found.iter().zip(prompt["top5"].as_array().unwrap()) {
            assert_eq!(u64::from(found.token), expected["id"].as_u64().unwrap(), "{text:?}");
            let error = (found.log_prob - expected["log_prob"].as_f64().unwrap()).abs();
            assert!(error < TOLERANCE, "{text:?}: {error:e}");
        }
        if let Some(greedy) = prompt.get("greedy").filter(|greedy| greedy.is_object()) {
            let sampling = Sampling::greedy(ids(&greedy["ids"]).len());
            let said = generate(&model, &[tokens], &sampling, |_, _| true).unwrap();
            assert_eq!(said[0], ids(&greedy["ids"]), "{text:?}");
        }
    }
}
