//! Which tokens are the subject's and the object's, and which are read.

use retcon::data::Prompt;
use retcon::tokens::{Packed, query};
use retcon::{Error, Model};

use crate::model;

fn text(model: &Model, ids: &[u32]) -> String {
    model.tokenizer().decode(ids).unwrap()
}

#[test]
fn a_decoder_reads_the_object_one_position_early() {
    for name in ["llama", "gpt2"] {
        let model = model(name);
        let prompt = Prompt::parse("The capital of {France} is").unwrap();
        // However the object is written, exactly one space is before it.
        for object in ["Paris", " Paris", "  Paris "] {
            let query = query(&model, &prompt, object.trim_end()).unwrap();
            assert_eq!(text(&model, &query.object), " Paris", "{name}");
            let n_prefix = model.tokenizer().prefix().len();
            assert_eq!(n_prefix, usize::from(name == "llama"));
            assert_eq!(text(&model, &query.ids[n_prefix..]), {
                let said = query.object.len() - 1;
                let whole = [&query.ids[n_prefix..query.ids.len() - said], &query.object[..said]];
                text(&model, &whole.concat())
            });
            assert_eq!(query.at.len(), query.object.len());
            assert_eq!(*query.at.last().unwrap() as usize, query.ids.len() - 1);
            let subject = query.subject.unwrap();
            assert_eq!(text(&model, &query.ids[subject]), " France", "{name}");
        }
    }
}

#[test]
fn an_encoder_reads_the_object_at_as_many_masks_as_it_has_tokens() {
    let model = model("bert");
    let mask = model.tokenizer().mask().unwrap();
    let prompt = Prompt::parse("{France}'s capital is [MASK], a city").unwrap();
    for object in ["paris", "paris berlin"] {
        let query = query(&model, &prompt, object).unwrap();
        let masks: Vec<u32> =
            (0..query.ids.len() as u32).filter(|&i| query.ids[i as usize] == mask).collect();
        assert_eq!(masks, query.at);
        assert_eq!(query.object.len(), object.split(' ').count());
        assert_eq!(text(&model, &query.ids[query.subject.clone().unwrap()]), "france");
        assert_eq!(query.ids.first(), model.tokenizer().prefix().first());
        assert_eq!(query.ids.last(), model.tokenizer().suffix().last());
    }
}

#[test]
fn an_encoder_sees_the_tokens_of_the_text_with_its_mask() {
    for name in ["bert", "albert", "albert-groups"] {
        let model = model(name);
        let tokenizer = model.tokenizer();
        for text in
            ["{France}'s capital is [MASK], a city", "[MASK] is in {France}", "{A}  [MASK] ."]
        {
            let prompt = Prompt::parse(text).unwrap();
            let query = query(&model, &prompt, "paris").unwrap();
            let whole = tokenizer.encode(&text.replace(['{', '}'], "")).unwrap().ids;
            let whole = [tokenizer.prefix(), &whole, tokenizer.suffix()].concat();
            assert_eq!(query.ids, whole, "{name}: {text}");
            assert_eq!(self::text(&model, &query.object), "paris", "{name}");
            let subject = self::text(&model, &query.ids[query.subject.unwrap()]);
            assert!(["france", "a"].contains(&subject.as_str()), "{name}: {text}: {subject}");
        }
    }
}

#[test]
fn an_encoder_puts_an_object_without_a_place_at_the_end_of_a_sentence() {
    let model = model("bert");
    let prompt = Prompt::parse("The capital of {France} is").unwrap();
    let query = query(&model, &prompt, "paris").unwrap();
    let after = &query.ids[query.at[0] as usize + 1..];
    assert_eq!(text(&model, &after[..after.len() - 1]), ".");
}

#[test]
fn what_no_model_can_say_is_refused() {
    let decoder = model("llama");
    let prompt = Prompt::parse("{France} has [MASK] as capital").unwrap();
    assert!(matches!(query(&decoder, &prompt, "Paris"), Err(Error::SlotInDecoder { .. })));
    let prompt = Prompt::parse("{France} has").unwrap();
    assert!(matches!(query(&decoder, &prompt, " "), Err(Error::EmptyObject { .. })));
}

#[test]
fn packed_queries_keep_their_rows() {
    let model = model("llama");
    let prompt = |text: &str| Prompt::parse(text).unwrap();
    let one = query(&model, &prompt("The capital of {France} is"), "Paris").unwrap();
    let two = query(&model, &prompt("{Spain} is"), "Rome Berlin").unwrap();
    let packed = Packed::new([&one, &two]).unwrap();
    assert_eq!(packed.tokens, [one.object.clone(), two.object.clone()].concat());
    assert_eq!(packed.of_query.len(), 2);
    let start = one.ids.len() as u32;
    assert_eq!(packed.rows[packed.of_query[1].clone()][0], start + two.at[0]);
    let sum: f64 = packed.weights(&[0.25, 0.75]).iter().sum();
    assert!((sum - 1.0).abs() < 1e-12);
}
