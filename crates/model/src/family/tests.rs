//! What settings come to, family by family, in either container.

use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::checkpoint::gguf::sample::Sample;

fn spec(checkpoint: &Checkpoint) -> Result<Spec> {
    (Family::of(&checkpoint.config)?.spec)(checkpoint)
}

/// The spec of a folder of the kind `kind` with few settings, and `more`.
fn hub(kind: &str, more: Value) -> Result<Spec> {
    let mut settings = json!({
        "model_type": kind, "vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 3,
        "num_attention_heads": 4, "max_position_embeddings": 32, "intermediate_size": 8,
    });
    let (Value::Object(all), Value::Object(more)) = (&mut settings, more) else { panic!() };
    all.extend(more);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), settings.to_string()).unwrap();
    // No settings, no tensors.
    fs::write(folder.path().join("model.safetensors"), b"\x02\0\0\0\0\0\0\0{}").unwrap();
    spec(&Checkpoint::open(folder.path()).unwrap())
}

/// A GGUF file of the architecture `kind` with few settings.
fn sample(kind: &str) -> Sample {
    let key = |name: &str| format!("{kind}.{name}");
    Sample::default()
        .text("general.architecture", kind)
        .u32(&key("vocab_size"), 8)
        .u32(&key("embedding_length"), 16)
        .u32(&key("block_count"), 3)
        .u32(&key("attention.head_count"), 4)
        .u32(&key("context_length"), 32)
        .u32(&key("feed_forward_length"), 8)
}

fn gguf(sample: &Sample) -> Result<Spec> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    fs::write(&path, sample.bytes()).unwrap();
    spec(&Checkpoint::open(&path).unwrap())
}

#[test]
fn no_two_families_claim_the_same_models() {
    let types: Vec<_> = FAMILIES.iter().flat_map(|family| family.model_types).collect();
    for (i, a) in types.iter().enumerate() {
        assert!(!types[..i].contains(a), "{a}");
    }
}

#[test]
fn more_blocks_than_any_model_has_are_refused_before_there_is_a_list_of_them() {
    let error = hub("llama", json!({"num_hidden_layers": 1_000_000_000})).unwrap_err().to_string();
    assert!(error.contains("`num_hidden_layers`: expected at most 10000"), "{error}");
}

#[test]
fn a_window_of_0_is_none() {
    let phi4 = sample("phi3").u32("phi3.attention.sliding_window", 0);
    assert_eq!(gguf(&phi4).unwrap().windows, [None; 3]);
    let phi3 = sample("phi3").u32("phi3.attention.sliding_window", 7);
    assert_eq!(gguf(&phi3).unwrap().windows, [Some(7); 3]);
}

#[test]
fn products_get_smaller_with_depth_where_settings_say_so() {
    let scale = |more| hub("gpt2", more).unwrap().attention_scale;
    assert_eq!(scale(json!({})), [0.5; 3]);
    let by_depth = json!({"scale_attn_by_inverse_layer_idx": true});
    assert_eq!(scale(by_depth), [0.5, 0.25, 0.5 / 3.0]);
    let by_depth = json!({"scale_attn_by_inverse_layer_idx": true, "scale_attn_weights": false});
    assert_eq!(scale(by_depth), [1.0, 0.5, 1.0 / 3.0]);
}

#[test]
fn what_a_folder_says_nothing_of_is_as_in_transformers() {
    let gemma2 = hub("gemma2", json!({})).unwrap();
    assert_eq!(gemma2.attention_cap, Some(50.0));
    assert_eq!(gemma2.logit_cap, Some(30.0));
    assert_eq!(gemma2.attention_scale, [1.0 / 16.0; 3]);
    assert_eq!(gemma2.windows, [Some(4096), None, Some(4096)]);
    let gemma3 = hub("gemma3_text", json!({})).unwrap();
    assert_eq!((gemma3.attention_cap, gemma3.logit_cap), (None, None));
    assert_eq!(gemma3.attention_scale, [1.0 / 16.0; 3]);
    assert_eq!(gemma3.windows, [Some(4096); 3]);
    assert_eq!(hub("mistral", json!({})).unwrap().windows, [Some(4096); 3]);
    let local = json!({"use_sliding_window": true, "max_window_layers": 2});
    assert_eq!(hub("qwen2", local).unwrap().windows, [None, None, Some(4096)]);
    for (kind, eps) in [("llama", 1e-6), ("qwen3", 1e-6), ("phi3", 1e-5), ("olmo2", 1e-5)] {
        let spec = hub(kind, json!({})).unwrap();
        assert_eq!((spec.norm, spec.windows), (Norm::Rms { eps }, vec![None; 3]), "{kind}");
    }
}

#[test]
fn null_switches_off_what_is_there_as_a_rule() {
    let off = json!({
        "attn_logit_softcapping": null, "final_logit_softcapping": null, "sliding_window": null,
    });
    for kind in ["gemma2", "gemma3_text", "mistral"] {
        let spec = hub(kind, off.clone()).unwrap();
        assert_eq!((spec.attention_cap, spec.logit_cap), (None, None), "{kind}");
        assert_eq!(spec.windows, [None; 3], "{kind}");
    }
}

#[test]
fn what_a_gguf_file_says_nothing_of_is_not_there() {
    let gemma2 = gguf(&sample("gemma2")).unwrap();
    assert_eq!((gemma2.attention_cap, gemma2.logit_cap), (None, None));
    assert_eq!((gemma2.windows, gemma2.attention_scale), (vec![None; 3], vec![0.5; 3]));
    assert_eq!(gguf(&sample("llama")).unwrap().windows, [None; 3]);
}

#[test]
fn blocks_are_local_where_layer_types_name_them() {
    let kinds = json!(["sliding_attention", "full_attention", "sliding_attention"]);
    let settings = json!({"sliding_window": 4, "use_sliding_window": true, "layer_types": kinds});
    for kind in ["mistral", "qwen2", "qwen3", "gemma2", "gemma3_text"] {
        let spec = hub(kind, settings.clone()).unwrap();
        assert_eq!(spec.windows, [Some(4), None, Some(4)], "{kind}");
    }
    for (kinds, found) in [(json!(["full_attention"]), "1"), (json!(["a", "b", "c"]), "a")] {
        let error = hub("mistral", json!({"layer_types": kinds})).unwrap_err().to_string();
        assert!(error.contains("layer_types") && error.ends_with(found), "{error}");
    }
    // The first of them is the twenty-ninth where nothing is said.
    let settings =
        json!({"sliding_window": 4, "use_sliding_window": true, "num_hidden_layers": 30});
    let windows = hub("qwen2", settings).unwrap().windows;
    assert_eq!((windows[27], windows[28]), (None, Some(4)));
}

#[test]
fn settings_that_are_left_over_in_llama_change_nothing() {
    let left = json!({"sliding_window": 4, "partial_rotary_factor": 0.5});
    for kind in ["llama", "olmo2", "qwen2", "gemma"] {
        assert_eq!(hub(kind, left.clone()).unwrap(), hub(kind, json!({})).unwrap(), "{kind}");
    }
    let spec = hub("phi3", left).unwrap();
    let Position::Rotary(blocks) = spec.position else { panic!() };
    assert_eq!((spec.windows[0], blocks[0].width), (Some(4), 2));
}

#[test]
fn local_blocks_of_gguf_files_are_a_list_or_all_but_the_last_of_a_few() {
    let local = |kind: &str, pattern: Option<Vec<u8>>| {
        let file = sample(kind).u32(&format!("{kind}.attention.sliding_window"), 4);
        let key = format!("{kind}.attention.sliding_window_pattern");
        // A list of a length of eight bytes, whose type is that of answers.
        let list = |all: Vec<u8>| [&[7, 0, 0, 0, all.len() as u8][..], &[0; 7], &all].concat();
        let file = pattern.into_iter().fold(file, |file, all| file.raw(&key, 9, &list(all)));
        gguf(&file).map(|spec| spec.windows)
    };
    let (here, all) = (Some(4), [Some(4); 3]);
    for kind in ["olmo2", "gemma3"] {
        assert_eq!(local(kind, Some(vec![1, 1, 0])).unwrap(), [here, here, None], "{kind}");
        assert_eq!(local(kind, Some(vec![1, 0, 1])).unwrap(), [here, None, here], "{kind}");
        assert_eq!(local(kind, Some(vec![1; 3])).unwrap(), all, "{kind}");
        assert_eq!(local(kind, Some(vec![0; 3])).unwrap(), [None; 3], "{kind}");
        assert_eq!(local(kind, None).unwrap(), all, "{kind}");
        let error = local(kind, Some(vec![1, 0])).unwrap_err().to_string();
        assert!(error.contains("one for each of the 3 blocks"), "{error}");
    }
    assert_eq!(gguf(&sample("olmo2")).unwrap().windows, [None; 3]);
}

#[test]
fn local_blocks_are_stretched_by_themselves() {
    let both = json!({"layer_types": ["sliding_attention", "full_attention", "full_attention"],
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4},
    }});
    let Position::Rotary(blocks) = hub("gemma3_text", both).unwrap().position else { panic!() };
    assert_eq!((blocks[0].theta, &blocks[0].scaling), (1e4, &Scaling::Linear(4.0)));
    assert_eq!((blocks[1].theta, &blocks[1].scaling), (1e6, &Scaling::Linear(8.0)));
    let yarn = json!({"rope_parameters": {"sliding_attention": {"rope_type": "yarn"}}});
    let error = hub("gemma3_text", yarn).unwrap_err().to_string();
    assert!(error.contains("`rope_parameters.sliding_attention.rope_type`"), "{error}");
}

#[test]
fn biases_of_llama_in_gguf_files_are_told_by_their_tensors() {
    let biases = |names: &[&str]| {
        let bias = |file: Sample, name: &&str| file.tensor(name, &[1], 0, &[0; 4]);
        gguf(&names.iter().fold(sample("llama"), bias)).unwrap().biases
    };
    assert_eq!(biases(&[]), Biases::default());
    let qkv = Biases { qkv: true, ..Biases::default() };
    assert_eq!(biases(&["blk.0.attn_q.bias", "blk.0.attn_k.bias"]), qkv);
    let all = ["blk.0.attn_q.bias", "blk.0.attn_output.bias", "blk.0.ffn_up.bias"];
    assert_eq!(biases(&all), Biases { qkv: true, o: true, mlp: true });
}

#[test]
fn a_decoder_of_the_kind_of_bert_is_refused() {
    let error = hub("bert", json!({"is_decoder": true})).unwrap_err().to_string();
    assert!(
        error.ends_with("`is_decoder`: expected false, for an encoder, found: true"),
        "{error}"
    );
}

#[test]
fn segments_are_as_many_as_the_settings_say() {
    let n = |more| hub("bert", more).unwrap().n_segments;
    assert_eq!((n(json!({})), n(json!({"type_vocab_size": 1}))), (2, 1));
}
