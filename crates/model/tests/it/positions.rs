//! Running only what changes: later positions beside kept ones, and blocks up to a key.

use candle_core::{DType, Device, Tensor};
use retcon_kernels::autograd::Var;
use retcon_model::tap::{Offset, Record};
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
fn a_key_is_what_arrives_there_in_the_whole_pass() {
    for name in ["llama", "gpt2", "bert"] {
        let model = model(name);
        let batch = Batch::new(SEQUENCES).unwrap();
        let last = model.spec().n_blocks - 1;
        let site = Site::Block(last, Spot::MlpKey);
        let mut seen = Record::only([site]);
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
