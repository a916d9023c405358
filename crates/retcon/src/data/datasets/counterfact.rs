//! CounterFact in its original form, with the texts that generated ones are compared with.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::asked::{fact, filled, number, question};
use super::write::{ANY, Shape, Writer};
use super::{Beside, Cases, Dataset, Reader, collect};
use crate::data::case::{Axis, Case, Question};
use crate::data::error::Result;
use crate::data::object::{Line, Object};
use crate::data::text_file::TextFile;

pub(super) const DATASET: Dataset = Dataset {
    name: "counterfact",
    summary: "CounterFact as it was published, with paraphrases, neighbors and beginnings of texts",
    source: "Meng et al. 2022, arXiv:2202.05262",
    keys: &[
        ("case_id", "the id"),
        ("requested_rewrite.prompt, .subject", "the edited prompt, {} where its subject goes"),
        ("requested_rewrite.target_new.str", "the new object"),
        ("requested_rewrite.target_true.str", "the old object"),
        ("requested_rewrite.relation_id", "the group"),
        ("paraphrase_prompts", "paraphrases"),
        ("neighborhood_prompts", "neighbors, whose answer is the old object"),
        ("generation_prompts", "beginnings of texts"),
        ("attribute_prompts, pararel_idx", "nothing"),
        ("attribute_snippets.json beside the file", "texts that generated ones are compared with"),
    ],
    marks: &[&["requested_rewrite"]],
    read: Reader::File(read),
    write: Some(Writer {
        shape: Shape::List,
        axes: Some(&[
            (Axis::Rewrite, 1),
            (Axis::Paraphrase, ANY),
            (Axis::Neighbor, ANY),
            (Axis::Generation, ANY),
        ]),
        distinct: false,
        record,
    }),
};

/// Texts about objects, by relation and the object's id.
type Snippets = BTreeMap<(String, String), Vec<String>>;

fn read(file: &TextFile, _: &Beside) -> Result<Cases> {
    let snippets = snippets(file)?;
    collect::cases(file, |line, _| {
        let mut record = Object::open(line)?;
        let id = record.required_id("case_id")?;
        let mut rewrite = record.required_object("requested_rewrite")?;
        let (template, subject) = (rewrite.required("prompt")?, rewrite.required("subject")?);
        let mut new = rewrite.required_object("target_new")?;
        let old = rewrite.required_object("target_true")?.required("str")?;
        let prompt = line.at("requested_rewrite", filled(&template, &subject))?;
        let edit = fact(prompt, &new.required("str")?, Some(&old))?;
        let group = rewrite.required("relation_id")?;
        let of = new.string("id")?.map(|id| (group.clone(), id));
        let references = of.and_then(|of| snippets.get(&of)).cloned().unwrap_or_default();
        let mut case = Case { group: Some(group), references, ..Case::of(id, edit) };
        case.questions.extend(questions(line, &mut record, &case, &subject)?);
        Ok(case)
    })
}

fn questions(
    line: Line<'_>,
    record: &mut Object<'_>,
    case: &Case,
    subject: &str,
) -> Result<Vec<Question>> {
    let (new, old) = (&case.edits[0].target_new, case.edits[0].target_true.as_deref());
    let mut found = Vec::new();
    let mut ask = |key: &str, axis, subject: &str| {
        for (key, value) in record.list(key)? {
            let text = line.string(&key, value)?;
            let question = line.at(&key, question(axis, &text, subject))?;
            found.push(match (axis, old) {
                (Axis::Paraphrase, old) => question.answered(new).against(old),
                (Axis::Neighbor, Some(old)) => question.answered(old).against(Some(new)),
                _ => question,
            });
        }
        Ok(())
    };
    ask("paraphrase_prompts", Axis::Paraphrase, subject)?;
    ask("neighborhood_prompts", Axis::Neighbor, "")?;
    ask("generation_prompts", Axis::Generation, subject)?;
    Ok(found)
}

/// The texts beside a file of cases, where there are any.
fn snippets(file: &TextFile) -> Result<Snippets> {
    let mut found = Snippets::new();
    let Some(folder) = file.path.parent() else { return Ok(found) };
    let Some(file) = TextFile::find(folder, "attribute_snippets.json")? else { return Ok(found) };
    for (origin, text) in file.records()? {
        let mut record = Object::open(Line { text, origin: &origin })?;
        let of = (record.required("relation_id")?, record.required("target_id")?);
        let texts = found.entry(of).or_default();
        for mut sample in record.objects("samples")? {
            texts.push(sample.required("text")?);
        }
    }
    Ok(found)
}

fn record(case: &Case) -> Result<Value, &'static str> {
    let [edit] = &case.edits[..] else { return Err("it has several edits") };
    let old = edit.target_true.as_deref().ok_or("its old object is unknown")?;
    let group = case.group.as_deref().ok_or("it has no group, which is the relation")?;
    let of_axis = |axis| case.questions.iter().filter(move |question| question.axis == axis);
    if of_axis(Axis::Neighbor).any(|question| question.answer() != Some(old)) {
        return Err("a neighbor has another answer than its old object");
    }
    let range = edit.prompt.subject().unwrap_or_default();
    let (before, after) = (&edit.prompt.text()[..range.start], &edit.prompt.text()[range.end..]);
    if before.contains("{}") || after.contains("{}") {
        return Err("its prompt has braces");
    }
    let texts = |axis| of_axis(axis).map(|question| question.prompt.text()).collect::<Vec<_>>();
    Ok(json!({
        "case_id": number(&case.id),
        "requested_rewrite": {
            "prompt": format!("{before}{{}}{after}"),
            "relation_id": group,
            "target_new": { "str": edit.target_new },
            "target_true": { "str": old },
            "subject": edit.subject(),
        },
        "paraphrase_prompts": texts(Axis::Paraphrase),
        "neighborhood_prompts": texts(Axis::Neighbor),
        "generation_prompts": texts(Axis::Generation),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{again, left_out, placeless, questions, read, read_beside, refusal};
    use super::*;

    const CASES: &str = r#"[{"case_id":3,"pararel_idx":1,"requested_rewrite":{"prompt":"{} lives in","relation_id":"P1","target_new":{"str":"Oslo","id":"Q1"},"target_true":{"str":"Rome","id":"Q2"},"subject":"Ann"},
          "paraphrase_prompts":["It rained. Ann's home is"],"neighborhood_prompts":["Bo lives in","Cy lives in"],"attribute_prompts":["x"],"generation_prompts":["Ann's friends"]},
         {"case_id":4,"requested_rewrite":{"prompt":"Bo lives in","relation_id":"P1","target_new":{"str":"Oslo"},"target_true":{"str":"Rome"},"subject":"Bo"}}]"#;

    #[test]
    fn all_prompts_become_questions() {
        let snippets = r#"[{"relation_id":"P1","target_id":"Q1","samples":[{"name":"x","text":"Oslo is a town."}]}]"#;
        let found = read_beside("counterfact", CASES, &[("attribute_snippets.json", snippets)]);
        let found = found.unwrap();
        let case = &found.cases[0];
        assert_eq!(
            questions(case),
            [
                "rewrite: {Ann} lives in => Oslo !Rome",
                "paraphrase: It rained. {Ann}'s home is => Oslo !Rome",
                "neighbor: Bo lives in => Rome !Oslo",
                "neighbor: Cy lives in => Rome !Oslo",
                "generation: {Ann}'s friends => ",
            ]
        );
        assert_eq!((case.id.as_str(), case.group.as_deref()), ("3", Some("P1")));
        assert_eq!(case.references, ["Oslo is a town."]);
        assert_eq!(
            left_out(&found),
            "`requested_rewrite`: expected one {} for the subject in the prompt, found: Bo lives in"
        );
        assert_eq!(found.left_out[0].0.line, 3);
    }

    #[test]
    fn errors_of_form_name_line_and_key() {
        for (text, message) in [
            (r#"{"case_id":1}"#, ":1: missing key: requested_rewrite"),
            (
                r#"{"case_id":1,"requested_rewrite":[]}"#,
                ":1: `requested_rewrite` has the wrong type: expected an object, found: a list",
            ),
            (
                r#"{"case_id":1,"requested_rewrite":{"prompt":"{}","subject":"a"}}"#,
                ":1: missing key: target_new",
            ),
        ] {
            assert_eq!(refusal("counterfact", text), message);
        }
    }

    #[test]
    fn what_is_read_is_written() {
        let cases = placeless(read("counterfact", CASES).unwrap().cases);
        assert_eq!(again("counterfact", &cases), cases);
        let mut other = cases;
        other[0].questions[2].answers = vec![vec!["Bonn".to_owned()]];
        let written = DATASET.write(&other).unwrap();
        assert_eq!(written.left_out[0].1, "a neighbor has another answer than its old object");
    }
}
