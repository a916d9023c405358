//! What looks like a model that can be edited and is none, and what is said about it.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::bad_input::{check, configure, retensor};
use super::dir::{Dir, FACT, text};

/// The head of a GGUF file with these values, of 4 bytes or texts, and no tensors.
fn gguf(numbers: &[(&str, u32)], texts: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let mut bytes = [b"GGUF".as_slice(), &3u32.to_le_bytes(), &0u64.to_le_bytes()].concat();
    bytes.extend((numbers.len() as u64 + texts.len() as u64).to_le_bytes());
    for (key, value) in texts {
        bytes.extend([text(key), 8u32.to_le_bytes().to_vec(), text(value)].concat());
    }
    for (key, value) in numbers {
        bytes.extend(
            [text(key), 4u32.to_le_bytes().to_vec(), value.to_le_bytes().to_vec()].concat(),
        );
    }
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    bytes
}

/// Expects `message` and `hint` of every command that opens the file.
#[track_caller]
fn refuse(file: &[u8], message: &str, hint: &str) {
    let dir = Dir::new();
    fs::write(dir.path("m.gguf"), file).unwrap();
    for args in
        [vec!["inspect", "m.gguf"], vec!["ask", "m.gguf", "x"], vec!["edit", "m.gguf", FACT]]
    {
        dir.run(args).exits(1).complains(message).complains(hint);
    }
}

#[test]
fn weights_that_a_library_quantized() {
    for (how, name) in [
        (json!({"quant_method": "gptq", "bits": 4}), "gptq"),
        (json!({"quant_method": "awq"}), "awq"),
        (json!({"quant_method": "fp8"}), "fp8"),
        (json!({"load_in_8bit": true}), "bitsandbytes"),
    ] {
        let damage = |model: &Path| configure(model, "quantization_config", how);
        let message =
            format!("config.json: weights quantized in a way that is not supported: {name}\n");
        check("llama", damage, &message, "hint: give the unquantized checkpoint");
    }
}

#[test]
fn a_mixture_of_experts() {
    let file = gguf(&[("llama.expert_count", 8)], &[("general.architecture", "llama")]);
    let hint = "hint: give a model whose blocks have one MLP each";
    refuse(&file, "m.gguf is a mixture of experts, which is not supported; experts: 8", hint);
}

#[test]
fn an_adapter_without_its_base() {
    let texts = [("general.architecture", "llama"), ("general.type", "adapter")];
    let (message, hint) = ("is an adapter (LoRA)", "hint: merge it into its base first");
    refuse(&gguf(&[], &texts), message, hint);
    let damage = |model: &Path| {
        fs::rename(model.join("config.json"), model.join("adapter_config.json")).unwrap();
    };
    check("llama", damage, message, hint);
    let damage = |model: &Path| {
        fs::rename(model.join("model.safetensors"), model.join("adapter_model.safetensors"))
            .unwrap();
        fs::write(model.join("adapter_config.json"), "{}").unwrap();
    };
    check("llama", damage, message, hint);
}

#[test]
fn a_classifier() {
    let message = "llama is a classifier, which has no language-model head: tensor `score.weight`";
    let damage = retensor(Some("model.norm.weight"), "score.weight");
    check("llama", damage, message, "hint: give the language model that it was made from");
}

#[test]
fn an_unknown_pre_tokenizer() {
    let dir = Dir::new();
    let model = dir.copy("llama-gguf");
    let mut bytes = fs::read(&model).unwrap();
    let key = b"tokenizer.ggml.pre".as_slice();
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap();
    // After the key come its type and the length of its text.
    bytes[at + key.len() + 4 + 8] = b'?';
    fs::write(&model, bytes).unwrap();
    let run = dir.run(["ask", text(&model), "x"]).exits(1);
    let run = run.complains("unknown pre-tokenizer (`tokenizer.ggml.pre`): ?lama-bpe");
    run.complains("hint: any other would give wrong tokens: use the model's Hugging Face folder");
}
