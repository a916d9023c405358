//! Per family: logits, every site, greedy text and tokens equal the reference implementation's.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use retcon_model::checkpoint::safetensors;
use retcon_model::generate::{Sampling, generate};
use retcon_model::tap::Capture;
use retcon_model::{Batch, KvCache, Model, Site};

use crate::{expected, fixture, ids, model};

/// Relative to the largest number of a tensor. The reference computes in `f32` too, in another
/// order; what was seen is below 1e-5.
const TOLERANCE: f64 = 1e-4;

fn distance(found: &Tensor, expected: &Tensor) -> f64 {
    let flat = |tensor: &Tensor| {
        tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap()
    };
    assert_eq!(found.dims(), expected.dims());
    let (found, expected) = (flat(found), flat(expected));
    let largest = expected.iter().fold(0f64, |max, x| max.max(x.abs()));
    let error = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    error / largest
}

fn tensors(name: &str) -> BTreeMap<String, Tensor> {
    let path = fixture(name).join("expected.safetensors");
    let file = safetensors::open(&path).unwrap().file;
    let tensor = |stored: &retcon_kernels::stored::Stored| {
        stored.to_tensor(DType::F32, &Device::Cpu).unwrap()
    };
    file.tensors().map(|(name, stored)| (name.to_owned(), tensor(stored))).collect()
}

fn all_rows(batch: &Batch) -> Vec<u32> {
    (0..batch.tokens().len() as u32).collect()
}

/// Runs each sequence alone and both packed, and compares every site and the logits.
fn check(name: &str) {
    let (model, tensors) = (model(name), tensors(name));
    let sequences =
        expected(name)["tokens"].as_array().unwrap().iter().map(ids).collect::<Vec<_>>();
    let mut seen_packed = Capture::all();
    let packed = Batch::new(&sequences).unwrap();
    let x = model.run(&packed, &all_rows(&packed), &mut seen_packed).unwrap();
    let packed_logits = model.logits(&x).unwrap();
    let mut n_compared = 0;
    for (i, tokens) in sequences.iter().enumerate() {
        let batch = Batch::new([tokens]).unwrap();
        let mut seen = Capture::all();
        let x = model.run(&batch, &all_rows(&batch), &mut seen).unwrap();
        let logits = model.logits(&x).unwrap();
        let (start, n) = (packed.starts()[i], tokens.len());
        let mut compare = |what: &str, alone: &Tensor, packed: &Tensor| {
            let Some(expected) = tensors.get(&format!("{i}.{what}")) else {
                let of_head = ["logits", "final"].contains(&what);
                assert!(of_head, "{name}: no expected {what}");
                return;
            };
            let packed = packed.narrow(0, start, n).unwrap();
            for found in [alone, &packed] {
                let distance = distance(found, expected);
                assert!(distance < TOLERANCE, "{name}, sequence {i}, {what}: {distance:e}");
            }
            n_compared += 1;
        };
        for (site, alone) in &seen.seen {
            compare(&site.to_string(), alone, &seen_packed.seen[site]);
        }
        compare("logits", &logits, &packed_logits);
    }
    assert!(n_compared >= 2 * (10 * model.spec().n_blocks + 1), "{name}: {n_compared} sites");
    check_tokenizer(name, &model);
    check_greedy(name, &model, &sequences[0]);
}

fn check_tokenizer(name: &str, model: &Model) {
    for sample in expected(name)["tokenizer"].as_array().unwrap() {
        let text = sample["text"].as_str().unwrap();
        let found = model.tokenizer().encode(text).unwrap().ids;
        assert_eq!(found, ids(&sample["ids"]), "{name}: {text:?}");
        let tokenizer = model.tokenizer();
        let framed = [tokenizer.prefix(), &found, tokenizer.suffix()].concat();
        assert_eq!(framed, ids(&sample["ids_with_special"]), "{name}: {text:?}");
        assert_eq!(tokenizer.decode(&found).unwrap(), sample["decoded"].as_str().unwrap());
    }
}

/// The cache gives what the reference gives without one.
fn check_greedy(name: &str, model: &Model, tokens: &[u32]) {
    let expected = expected(name);
    let Some(greedy) = expected.get("greedy").filter(|greedy| greedy.is_array()) else { return };
    let greedy = ids(greedy);
    let prompts = [tokens.to_vec(), tokens[..3].to_vec()];
    let sampling = Sampling::greedy(greedy.len());
    let said = generate(model, &prompts, &sampling, |_, _| true).unwrap();
    let end = greedy.iter().position(|id| model.tokenizer().eos().contains(id));
    assert_eq!(said[0], greedy[..end.unwrap_or(greedy.len())], "{name}");
}

#[test]
fn llama_equals_the_reference() {
    check("llama");
}

#[test]
fn llama_with_tied_embeddings_in_half_precision_shards_equals_the_reference() {
    check("llama-tied");
}

#[test]
fn llama_from_gguf_equals_the_reference() {
    check("llama-gguf");
}

#[test]
fn mistral_with_a_window_equals_the_reference() {
    check("mistral");
}

#[test]
fn qwen2_equals_the_reference() {
    check("qwen2");
}

#[test]
fn qwen2_from_gguf_equals_the_reference() {
    check("qwen2-gguf");
}

#[test]
fn qwen3_equals_the_reference() {
    check("qwen3");
}

#[test]
fn gemma_equals_the_reference() {
    check("gemma");
}

#[test]
fn gemma2_with_caps_and_a_window_equals_the_reference() {
    check("gemma2");
}

#[test]
fn gemma3_with_local_and_global_blocks_equals_the_reference() {
    check("gemma3");
}

#[test]
fn gemma3_from_gguf_equals_the_reference() {
    check("gemma3-gguf");
}

#[test]
fn gpt2_equals_the_reference() {
    check("gpt2");
}

#[test]
fn gptj_equals_the_reference() {
    check("gptj");
}

#[test]
fn neox_equals_the_reference() {
    check("neox");
}

#[test]
fn neox_with_one_branch_after_the_other_equals_the_reference() {
    check("neox-sequential");
}

#[test]
fn neox_from_gguf_equals_the_reference() {
    check("neox-gguf");
}

#[test]
fn phi3_equals_the_reference() {
    check("phi3");
}

#[test]
fn phi3_from_gguf_equals_the_reference() {
    check("phi3-gguf");
}

#[test]
fn olmo2_equals_the_reference() {
    check("olmo2");
}

#[test]
fn olmo3_with_stretched_global_blocks_equals_the_reference() {
    check("olmo3");
}

#[test]
fn smollm3_with_a_block_that_knows_no_positions_equals_the_reference() {
    check("smollm3");
}

#[test]
fn olmo2_from_gguf_equals_the_reference() {
    check("olmo2-gguf");
}

#[test]
fn bert_equals_the_reference() {
    check("bert");
}

#[test]
fn bert_without_a_head_equals_the_reference_up_to_it() {
    check("bert-headless");
    assert_eq!(model("bert-headless").source().fresh().len(), 5);
    assert!(model("bert").source().fresh().is_empty());
}

#[test]
fn albert_equals_the_reference() {
    check("albert");
    assert!(model("albert").source().fresh().is_empty());
}

#[test]
fn albert_in_groups_without_a_head_equals_the_reference_up_to_it() {
    check("albert-groups");
    let model = model("albert-groups");
    assert_eq!(model.source().fresh().len(), 5);
    let weights_of: Vec<_> = (0..6).map(|block| model.spec().weights_of(block)).collect();
    assert_eq!(weights_of, [0, 1, 0, 1, 2, 3]);
    assert_eq!(model.spec().runs_of(1).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn running_part_by_part_is_running_whole() {
    let model = model("llama");
    let batch = Batch::new([vec![5, 6, 7, 8], vec![9, 10]]).unwrap();
    let whole = model.run(&batch, &[1, 3, 5], &mut ()).unwrap();
    let h = model.embed(&batch, &mut ()).unwrap();
    let h = model.blocks(0..1, h, &mut ()).unwrap();
    let h = model.blocks(1..3, h, &mut ()).unwrap();
    // The last block has run for all rows here, and for the wanted ones there.
    let parts = model.finish(3, h, &[1, 3, 5], &mut ()).unwrap();
    assert!(distance(parts.value(), whole.value()) < 1e-6);
}

#[test]
fn decoding_step_by_step_is_running_at_once() {
    for name in [
        "llama", "mistral", "gpt2", "qwen3", "gptj", "neox", "gemma2", "gemma3", "olmo2", "olmo3",
        "smollm3",
    ] {
        let model = model(name);
        let sequences = [vec![3, 1, 4, 1, 5, 9, 2, 6], vec![2, 7, 1, 8, 2, 8]];
        let mut cache = KvCache::new(model.spec().n_blocks, 2);
        let mut logits = None;
        for cut in [[0..3, 0..1], [3..7, 1..5], [7..8, 5..6]] {
            let pieces = sequences.iter().zip(cut).map(|(tokens, cut)| tokens[cut].to_vec());
            let batch = Batch::new(pieces).unwrap();
            logits = Some(model.extend(&mut cache, &batch).unwrap());
        }
        let batch = Batch::new(&sequences).unwrap();
        let x = model.run(&batch, &batch.last_rows(), &mut ()).unwrap();
        let whole = model.logits(&x).unwrap();
        // Sums in another order.
        assert!(distance(&logits.unwrap(), &whole) < 1e-5, "{name}");
    }
}

#[test]
fn a_tap_changes_what_comes_after_it_and_nothing_before() {
    use retcon_kernels::autograd::Var;
    use retcon_model::Spot;
    use retcon_model::tap::Offset;

    let model = model("llama");
    let batch = Batch::new([vec![5, 6, 7, 8]]).unwrap();
    let (mut plain, mut changed) = (Capture::all(), Capture::all());
    model.run(&batch, &[0, 1, 2, 3], &mut plain).unwrap();
    let by = Tensor::ones((1, model.spec().d_model), DType::F32, &Device::Cpu).unwrap();
    let site = Site::Block(1, Spot::MlpOut);
    let offset = Offset { site, rows: vec![2], by: Var::constant(by) };
    model.run(&batch, &[0, 1, 2, 3], &mut (offset, &mut changed)).unwrap();
    let moved = |site: Site| distance(&changed.seen[&site], &plain.seen[&site]);
    assert_eq!(moved(Site::Block(1, Spot::MlpKey)), 0.0);
    assert!(moved(site) > 0.0);
    let out = Site::Block(1, Spot::Out);
    let row = |capture: &Capture, row| capture.seen[&out].narrow(0, row, 1).unwrap();
    assert_eq!(distance(&row(&changed, 1), &row(&plain, 1)), 0.0);
    assert!(distance(&row(&changed, 2), &row(&plain, 2)) > 0.0);
}
