//! Running only what changes: later positions beside kept ones, and blocks up to a key.

use candle_core::{DType, Device, Tensor};
use retcon_kernels::autograd::Var;
use retcon_model::tap::{Capture, Offset, Restore};
use retcon_model::{Batch, Site, Spot};

use crate::model;

const DECODERS: &[&str] = &["llama", "gpt2", "mistral", "qwen3", "gptj", "neox", "gemma2"];

/// Two sequences, and the position of each at which something changes.
const SEQUENCES: [&[u32]; 2] = [&[3, 4, 5, 6, 7, 8], &[9, 10, 11, 12]];
const FROM: [usize; 2] = [4, 0];

fn distance(a: &Tensor, b: &Tensor) -> f32 {
    let difference = a.sub(b).unwrap().abs().unwrap().flatten_all().unwrap();
    difference.max(0).unwrap().to_scalar::<f32>().unwrap()
}

#[test]
fn later_positions_beside_kept_ones_run_as_they_do_in_the_whole() {
    for name in DECODERS {
        let model = model(name);
        let batch = Batch::new(SEQUENCES).unwrap();
        let width = model.spec().d_model;
        let by = Var::unknown(Tensor::ones((2, width), DType::F32, &Device::Cpu).unwrap());
        let h = model.blocks(0..1, model.embed(&batch, &mut ()).unwrap(), &mut ()).unwrap();
        let site = Site::Block(1, Spot::In);

        let mut tap = Offset { site, rows: vec![4, 6], by: by.clone() };
        let whole = model.finish(1, h.clone(), &[4, 5, 9], &mut tap).unwrap();
        let later = model.from_positions(1..model.spec().n_blocks, &h, &FROM).unwrap();
        assert_eq!(later.lengths(), [2, 4]);
        let mut tap = Offset { site, rows: vec![0, 2], by: by.clone() };
        let part = model.finish(1, later.clone(), &[0, 1, 5], &mut tap).unwrap();
        // The same sums, in another order where sequences are packed differently.
        assert!(distance(whole.value(), part.value()) < 1e-5, "{name}");

        let ones = whole.value().ones_like().unwrap();
        let gradient = |x: &Var| x.gradients_from(ones.clone(), &[&by]).unwrap().remove(0);
        assert!(distance(&gradient(&whole), &gradient(&part)) < 1e-5, "{name}");

        let second = later.sequences(&[1]).unwrap();
        let mut tap =
            Offset { site, rows: vec![0], by: Var::constant(by.value().narrow(0, 1, 1).unwrap()) };
        let alone = model.finish(1, second, &[3], &mut tap).unwrap();
        assert!(distance(alone.value(), &part.value().narrow(0, 2, 1).unwrap()) < 1e-5);
    }
}

#[test]
fn still_later_positions_run_beside_what_was_kept_in_two_turns() {
    for name in DECODERS {
        let model = model(name);
        let h = model.embed(&Batch::new(SEQUENCES).unwrap(), &mut ()).unwrap();
        let span = 0..model.spec().n_blocks;
        let once = model.from_positions(span.clone(), &h, &FROM).unwrap();
        let first = model.from_positions(span.clone(), &h, &[2, 0]).unwrap();
        let twice = model.from_positions(span, &first, &FROM).unwrap();
        assert_eq!(twice.lengths(), once.lengths());
        let [once, twice] = [once, twice].map(|h| model.finish(0, h, &[0, 5], &mut ()).unwrap());
        // The same sums, in another order where sequences are packed differently.
        assert!(distance(once.value(), twice.value()) < 1e-5, "{name}");
    }
}

#[test]
fn restored_rows_go_on_as_they_were_and_the_others_as_they_arrive() {
    let model = model("llama");
    let batch = Batch::new(SEQUENCES).unwrap();
    let site = Site::Block(1, Spot::MlpOut);
    let (mut before, mut after) = (Capture::only([site]), Capture::only([site]));
    model.run(&batch, &[9], &mut before).unwrap();
    let width = model.spec().d_model;
    let with = Var::constant(Tensor::ones((2, width), DType::F32, &Device::Cpu).unwrap());
    let restore = Restore { at: [(site, (vec![7, 1], with))].into() };
    model.run(&batch, &[9], &mut (restore, &mut after)).unwrap();
    let [before, after] = [before, after].map(|tap| tap.seen[&site].to_vec2::<f32>().unwrap());
    for (row, (before, after)) in before.iter().zip(&after).enumerate() {
        let expected = if [7, 1].contains(&row) { &vec![1.0; width] } else { before };
        assert_eq!(after, expected, "{row}");
    }
}

#[test]
fn a_key_is_what_arrives_there_in_the_whole_pass() {
    for name in ["llama", "gpt2", "bert"] {
        let model = model(name);
        let batch = Batch::new(SEQUENCES).unwrap();
        let last = model.spec().n_blocks - 1;
        let site = Site::Block(last, Spot::MlpKey);
        let mut seen = Capture::only([site]);
        let h = model.embed(&batch, &mut ()).unwrap();
        model.blocks(0..last + 1, h.clone(), &mut seen).unwrap();
        let key = model.key(0, last, h, &[3, 9], &mut ()).unwrap();
        let whole = &seen.seen[&site];
        let expected = whole.index_select(&Tensor::new(&[3u32, 9], &Device::Cpu).unwrap(), 0);
        assert!(distance(key.value(), &expected.unwrap()) < 1e-5, "{name}");
    }
}

#[test]
fn an_encoder_has_no_position_that_nothing_before_it_depends_on() {
    let model = model("bert");
    let h = model.embed(&Batch::new(SEQUENCES).unwrap(), &mut ()).unwrap();
    let error = model.from_positions(0..1, &h, &FROM).unwrap_err().to_string();
    assert!(error.contains("bert"), "{error}");
}
