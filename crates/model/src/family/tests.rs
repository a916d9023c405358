//! What settings come to, family by family, in either container.

use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::checkpoint::gguf::sample::Sample;
use crate::spec::{Rotary, Scaling};

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
    let other = json!({"rope_parameters": {"sliding_attention": {"rope_type": "spiral"}}});
    let error = hub("gemma3_text", other).unwrap_err().to_string();
    assert!(error.contains("`rope_parameters.sliding_attention.rope_type`"), "{error}");
}

#[test]
fn a_text_model_inside_of_another_has_its_own_settings_and_the_usual_ones_for_the_rest() {
    // As the one of 4 billion weights has them.
    let text = json!({"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240,
        "num_hidden_layers": 34, "sliding_window": 1024,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0}});
    let mut whole = json!({"text_config": text, "vision_config": {"hidden_size": 1152}});
    for key in ["vocab_size", "num_attention_heads", "max_position_embeddings"] {
        whole[key] = Value::Null;
    }
    let spec = hub("gemma3", whole).unwrap();
    assert_eq!((spec.n_vocab, spec.d_model, spec.d_mlp), (262_208, 2560, 10240));
    assert_eq!((spec.n_heads, spec.n_kv_heads, spec.d_head), (8, 4, 256));
    assert_eq!((spec.n_blocks, spec.n_positions), (34, 131_072));
    assert_eq!(
        spec.windows[..6],
        [Some(1024), Some(1024), Some(1024), Some(1024), Some(1024), None]
    );
}

#[test]
fn a_model_that_reads_more_than_text_in_another_way_is_refused() {
    let text = |kind: &str| json!({"model_type": kind, "hidden_size": 64});
    let inside = |outer: &str, kind: &str| hub(outer, json!({"text_config": text(kind)}));
    // Its whole prompt sees itself, the end from the beginning.
    let error = inside("paligemma", "gemma").unwrap_err().to_string();
    assert!(error.contains("model type `paligemma` is of no known family"), "{error}");
    assert!(error.contains("mistral3"), "{error}");
    // What they don't say is as in their own class, not as the model around them has it.
    let llava = inside("llava", "llama").unwrap();
    assert_eq!((llava.n_blocks, llava.n_heads, llava.d_mlp), (32, 32, 11_008));
    let mistral = inside("mistral3", "mistral").unwrap();
    assert_eq!((mistral.n_heads, mistral.n_kv_heads, mistral.d_mlp), (32, 8, 14_336));
}

#[test]
fn wavelengths_that_a_folder_says_nothing_of_are_those_of_its_family() {
    let theta = |kind: &str| rotary(hub(kind, json!({}))).theta;
    let kinds = ["llama", "smollm3", "olmo2", "olmo3"];
    assert_eq!(kinds.map(theta), [1e4, 2e6, 1e4, 5e5]);
    // The first block of Gemma 3 is a local one.
    let Position::Rotary(blocks) =
        hub("gemma3_text", json!({"num_hidden_layers": 6})).unwrap().position
    else {
        panic!()
    };
    assert_eq!((blocks[0].theta, blocks[5].theta), (1e4, 1e6));
}

#[test]
fn some_blocks_of_smollm3_know_no_positions() {
    let widths = |spec: Result<Spec>| match spec.unwrap().position {
        Position::Rotary(blocks) => blocks.iter().map(|rotary| rotary.width).collect::<Vec<_>>(),
        Position::Learned => panic!(),
    };
    let five = json!({"num_hidden_layers": 5});
    assert_eq!(widths(hub("smollm3", five.clone())), [4, 4, 4, 0, 4]);
    assert_eq!(widths(hub("smollm3", json!({"no_rope_layers": [1, 0, 1]}))), [4, 0, 4]);
    assert_eq!(widths(hub("smollm3", json!({"no_rope_layer_interval": 2}))), [4, 0, 4]);
    assert_eq!(widths(hub("llama", five)), [4; 5]);
    let error = hub("smollm3", json!({"no_rope_layers": [1]})).unwrap_err().to_string();
    assert!(error.contains("one for each of the 3 blocks"), "{error}");
}

#[test]
fn local_blocks_of_olmo3_are_not_stretched() {
    let yarn = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8});
    let five = json!({"num_hidden_layers": 5, "rope_theta": 5e5, "rope_scaling": yarn});
    let spec = hub("olmo3", five).unwrap();
    let (local, all) = (Some(4096), None);
    assert_eq!(spec.windows, [local, local, local, all, local]);
    let Position::Rotary(blocks) = spec.position else { panic!() };
    let is_plain = |rotary: &Rotary| rotary.scaling == Scaling::None && rotary.amplitude == 1.0;
    assert_eq!(blocks.iter().map(is_plain).collect::<Vec<_>>(), [true, true, true, false, true]);
    assert!(blocks.iter().all(|rotary| rotary.theta == 5e5));
    let none = hub("olmo3", json!({"sliding_window": null})).unwrap();
    assert_eq!(none.windows, [None; 3]);
    assert_eq!(hub("olmo2", json!({"sliding_window": 4})).unwrap().windows, [None; 3]);
}

fn rotary(spec: Result<Spec>) -> Rotary {
    let Position::Rotary(blocks) = spec.unwrap().position else { panic!() };
    blocks[0].clone()
}

#[test]
fn of_factors_for_short_and_for_long_texts_the_short_ones_are_taken_and_no_longer_texts() {
    let short = [1.0, 1.5];
    let folder = |more: Value| {
        let mut scaling =
            json!({"type": "longrope", "short_factor": short, "long_factor": [4.0, 9.0]});
        scaling.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        hub("phi3", json!({"rope_scaling": scaling, "original_max_position_embeddings": 16}))
    };
    let scaled = rotary(folder(json!({})));
    assert_eq!(scaled.scaling, Scaling::Factors(short.into()));
    // The root of 1 + ln 2 / ln 16.
    assert!((scaled.amplitude - 1.25f64.sqrt()).abs() < 1e-12);
    assert_eq!(folder(json!({})).unwrap().n_positions, 16);
    assert_eq!(rotary(folder(json!({"attention_factor": 1.1}))).amplitude, 1.1);
    let error = folder(json!({"short_factor": [1.0]})).unwrap_err().to_string();
    assert!(
        error.contains("`rope_scaling.short_factor`: expected one for each of 2 pairs"),
        "{error}"
    );

    let bytes: Vec<u8> = [1f32, 1.5].iter().flat_map(|x| x.to_le_bytes()).collect();
    let file = sample("phi3")
        .u32("phi3.rope.scaling.original_context_length", 16)
        .f32("phi3.rope.scaling.attn_factor", 1.25)
        .tensor("rope_factors_short.weight", &[2], 0, &bytes)
        .tensor("rope_factors_long.weight", &[2], 0, &bytes);
    assert_eq!(gguf(&file).unwrap().n_positions, 16);
    let half = sample("phi3").tensor("rope_factors_long.weight", &[2], 0, &bytes);
    let error = gguf(&half).unwrap_err().to_string();
    assert!(error.contains("`rope_scaling.short_factor`"), "{error}");
    let scaled = rotary(gguf(&file));
    assert_eq!((scaled.scaling, scaled.amplitude), (Scaling::Factors(short.into()), 1.25));
}

#[test]
fn yarn_sharpens_attention_by_the_logarithm_of_its_factor() {
    let folder = |more: Value| {
        let mut scaling = json!({"rope_type": "yarn", "factor": 4.0});
        scaling.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rotary(hub("qwen2", json!({"rope_scaling": scaling})))
    };
    let by = |weight: f64| 1.0 + 0.1 * weight * f64::ln(4.0);
    let plain = folder(json!({"original_max_position_embeddings": 8}));
    let Scaling::Yarn { original, fast, slow, whole, .. } = plain.scaling else { panic!() };
    assert_eq!((original, fast, slow, whole), (8.0, 32.0, 1.0, true));
    assert_eq!(plain.amplitude, by(1.0));
    let Scaling::Yarn { original, .. } = folder(json!({})).scaling else { panic!() };
    assert_eq!(original, 32.0);
    let weighed = folder(json!({"mscale": 2.0, "mscale_all_dim": 0.5}));
    assert_eq!(weighed.amplitude, by(2.0) / by(0.5));
    assert_eq!(folder(json!({"attention_factor": 1.1})).amplitude, 1.1);
    let file = sample("qwen2")
        .text("qwen2.rope.scaling.type", "yarn")
        .f32("qwen2.rope.scaling.factor", 4.0);
    assert_eq!(rotary(gguf(&file)).amplitude, by(1.0));
    let bare = sample("qwen2").text("qwen2.rope.scaling.type", "yarn");
    assert_eq!(rotary(gguf(&bare)).amplitude, 1.0);
    let file = file.f32("qwen2.rope.scaling.attn_factor", 0.5);
    assert_eq!(rotary(gguf(&file)).amplitude, 0.5 * by(1.0));
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
