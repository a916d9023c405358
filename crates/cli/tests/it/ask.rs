//! `ask`: texts, likely tokens, fillings of masks.

use std::fs;

use serde_json::Value;

use super::dir::{Dir, PROMPT, fixture, text};

#[test]
fn a_decoder_continues_the_prompt() {
    let dir = Dir::new();
    for name in ["llama-tied", "gpt2", "llama-gguf"] {
        let run = dir.run(["ask", text(&fixture(name)), PROMPT, "--tokens", "4"]).ok().says(PROMPT);
        let json =
            dir.run(["ask", text(&fixture(name)), PROMPT, "--tokens", "4", "--json"]).ok().json();
        let continuation = json["answers"][0]["text"].as_str().unwrap().to_owned();
        assert_eq!(json["answers"][0]["prompt"], PROMPT);
        assert_eq!(run.stdout, format!("{PROMPT}{continuation}\n"), "{name}");
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn drawing_depends_on_the_seed_alone() {
    let dir = Dir::new();
    let model = fixture("llama-tied");
    let ask = |seed| {
        let args =
            ["ask", text(&model), PROMPT, "--temperature", "2", "--top-k", "50", "--seed", seed];
        dir.run(args).ok().stdout
    };
    assert_eq!(ask("1"), ask("1"));
    assert_ne!(ask("1"), ask("2"));
}

#[test]
fn likely_tokens_come_with_their_probabilities() {
    let dir = Dir::new();
    let model = fixture("gpt2");
    dir.run(["ask", text(&model), PROMPT, "--top", "3"]).ok().says("probability");
    let json = dir.run(["ask", text(&model), PROMPT, "x", "--top", "3", "--json"]).ok().json();
    assert_eq!(json["answers"].as_array().unwrap().len(), 2);
    let top = json["answers"][0]["top"].as_array().unwrap();
    let probabilities: Vec<_> = top.iter().map(|t| t["probability"].as_f64().unwrap()).collect();
    assert_eq!(probabilities.len(), 3);
    assert!(probabilities.is_sorted_by(|a, b| a >= b) && probabilities.iter().sum::<f64>() <= 1.0);
}

#[test]
fn an_encoder_fills_every_mask() {
    let dir = Dir::new();
    let model = fixture("bert");
    dir.run(["ask", text(&model), "The capital of France is [MASK]."]).ok().says("probability");
    let args = ["ask", text(&model), "[MASK] is in [MASK]", "--top", "2", "--json"];
    let json = dir.run(args).ok().json();
    let top = json["answers"][0]["top"].as_array().unwrap();
    assert_eq!(top.iter().map(|mask| mask.as_array().unwrap().len()).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn precision_and_threads_can_be_chosen() {
    let dir = Dir::new();
    let model = fixture("llama");
    for dtype in ["f32", "bf16", "f16", "stored"] {
        let args = ["ask", text(&model), "x", "--dtype", dtype, "--threads", "1", "--top", "1"];
        dir.run(args).ok();
    }
    dir.run(["ask", text(&model), "x", "--device", "tpu"])
        .exits(2)
        .complains("--device: expected cpu, cuda, cuda:N or metal, found: tpu");
}

#[test]
fn a_model_whose_weights_are_no_numbers_has_no_answers() {
    let dir = Dir::new();
    let model = dir.copy("llama");
    let path = model.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let head = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let json: Value = serde_json::from_slice(&bytes[8..8 + head]).unwrap();
    let norm = &json["model.norm.weight"];
    assert_eq!(norm["dtype"], "F32");
    let at = 8 + head + norm["data_offsets"][0].as_u64().unwrap() as usize;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(path, bytes).unwrap();
    for args in [vec!["--tokens", "3"], vec!["--top", "3", "--json"]] {
        let run = dir.run(["ask", text(&model), PROMPT].into_iter().chain(args)).exits(1);
        run.complains("logits that are not finite").complains("hint: some weight of the model");
    }
}
