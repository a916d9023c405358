//! CounterFact as EasyEdit flattened it; it tells paraphrases from beginnings of texts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::asked::{fact, name, number, question};
use super::collect::Collected;
use super::patterns::Patterns;
use super::write::{Shape, Writer};
use super::{Beside, Cases, Dataset, Reader};
use crate::data::case::{Axis, Case, Question};
use crate::data::error::Result;
use crate::data::object::{Line, Object};
use crate::data::prompt::Prompt;
use crate::data::text_file::TextFile;

pub(super) const DATASET: Dataset = Dataset {
    name: "counterfact-flat",
    summary: "CounterFact as EasyEdit flattened it, with one other prompt and one neighbor a case",
    source: "Meng et al. 2022, arXiv:2202.05262; in this form Wang et al. 2023, arXiv:2308.07269",
    keys: &[
        ("case_id", "the id, and the relation where `case_relations.jsonl` beside the file has it"),
        ("prompt", "the edited prompt, in which `subject` is found"),
        ("subject", "the subject"),
        ("target_new", "the new object"),
        ("ground_truth", "the old object"),
        (
            "rephrase_prompt",
            "a paraphrase where no other case has it of another subject, or where it says the \
             relation; otherwise the beginning of a text",
        ),
        ("locality_prompt, locality_ground_truth", "a neighbor and its answer"),
    ],
    marks: &[&["case_id", "prompt", "ground_truth", "rephrase_prompt", "locality_prompt"]],
    read: Reader::File(read),
    write: Some(Writer {
        shape: Shape::List,
        axes: Some(&[(Axis::Rewrite, 1), (Axis::Paraphrase, 1), (Axis::Neighbor, 1)]),
        distinct: false,
        record,
    }),
};

/// The file of relations that may lie beside that of the cases.
const RELATIONS: &str = "case_relations.jsonl";

/// Beginnings of texts that say a relation after all, so that the new object has to follow.
const ENTAILING: &[(&str, &str)] = &[
    ("P20", "The tragic death of {} occurred in"),
    ("P27", "{} is a citizen of"),
    ("P37", "The language used by people in {} is"),
    ("P103", "{}'s mother tongue is"),
    ("P106", "{} works as a"),
    ("P127", "{} is my favorite product out of everything owned by"),
    ("P176", "{} is my favorite product out of everything created by"),
    ("P178", "{} is my favorite product out of everything created by"),
    ("P407", "The language {} was written in is called"),
    ("P449", "{} first aired on"),
    ("P449", "{} is my favorite show that has aired on"),
    ("P495", "{} originates from"),
    ("P740", "{} originated from"),
    ("P1303", "{} produces the most amazing music on the"),
];

/// A record, before it is known which of its texts recur.
struct Flat {
    id: String,
    subject: String,
    prompt: String,
    target_new: String,
    ground_truth: String,
    rephrase: String,
    locality: String,
    locality_truth: String,
}

impl Flat {
    fn parse(line: Line<'_>) -> Result<Self> {
        let mut record = Object::open(line)?;
        Ok(Self {
            id: record.required_id("case_id")?,
            subject: record.required("subject")?,
            prompt: record.required("prompt")?,
            target_new: record.required("target_new")?,
            ground_truth: record.required("ground_truth")?,
            rephrase: record.required("rephrase_prompt")?,
            locality: record.required("locality_prompt")?,
            locality_truth: record.required("locality_ground_truth")?,
        })
    }

    /// Its other prompt as it would be of any subject.
    fn template(&self) -> String {
        match self.subject.trim() {
            "" => self.rephrase.clone(),
            subject => self.rephrase.replace(subject, "{}"),
        }
    }

    fn case(self, line: Line<'_>, file: &Known, seed: u64) -> Result<Case> {
        let prompt = line.at("prompt", Prompt::with_subject(&self.prompt, &self.subject))?;
        let edit = fact(prompt, &self.target_new, Some(&self.ground_truth))?;
        let group = file.relations.get(&self.id).cloned();
        let other = line.at("rephrase_prompt", self.other(group.as_deref(), file))?;
        let neighbor = question(Axis::Neighbor, &self.locality, "");
        let neighbor = line.at("locality_prompt", neighbor)?.against(Some(&edit.target_new));
        let truth = line.at("locality_ground_truth", name(self.locality_truth))?;
        let made = group.as_deref().map_or_else(Vec::new, |relation| {
            file.patterns.paraphrases(relation, &edit.prompt, seed)
        });
        let made = made.into_iter().map(|prompt| Question::new(Axis::Paraphrase, prompt));
        let mut others: Vec<_> = made.collect();
        if others.iter().all(|made| made.prompt.text() != other.prompt.text()) {
            others.insert(0, other);
        }
        let mut case = Case { group, ..Case::of(self.id, edit) };
        let edit = &case.edits[0];
        case.questions.extend(others.into_iter().map(|other| match other.axis {
            Axis::Paraphrase => {
                other.answered(&edit.target_new).against(edit.target_true.as_deref())
            }
            _ => other,
        }));
        case.questions.push(neighbor.named(truth));
        Ok(case)
    }

    fn other(&self, relation: Option<&str>, file: &Known) -> Result<Question> {
        let template = self.template();
        let entails = ENTAILING.iter().any(|(id, text)| Some(*id) == relation && *text == template);
        let entails = entails || file.patterns.has(relation, &template);
        let recurs = file.templates.get(&template).is_some_and(|&n| n > 1);
        let axis = if recurs && !entails { Axis::Generation } else { Axis::Paraphrase };
        question(axis, &self.rephrase, &self.subject)
    }
}

/// What is known of all cases before any of them is made.
struct Known {
    /// How often each template of other prompts is there.
    templates: BTreeMap<String, usize>,
    /// The relation of each id.
    relations: BTreeMap<String, String>,
    patterns: Patterns,
}

fn read(file: &TextFile, beside: &Beside) -> Result<Cases> {
    let records = file.records()?;
    let mut flats = Vec::new();
    let mut templates = BTreeMap::new();
    for (origin, text) in &records {
        let flat = Flat::parse(Line { text, origin })?;
        *templates.entry(flat.template()).or_default() += 1;
        flats.push(flat);
    }
    let patterns = Patterns::open(beside.patterns.as_deref())?;
    let known = Known { templates, relations: relations(file)?, patterns };
    let mut collected = Collected::of(file.path.clone());
    for ((origin, text), flat) in records.iter().zip(flats) {
        let line = Line { text, origin };
        collected.push(line, flat.case(line, &known, beside.seed))?;
    }
    collected.finish()
}

/// The relations of cases, where the file that says them is there.
fn relations(file: &TextFile) -> Result<BTreeMap<String, String>> {
    let Some(folder) = file.path.parent() else { return Ok(BTreeMap::new()) };
    let Some(file) = TextFile::find(folder, RELATIONS)? else { return Ok(BTreeMap::new()) };
    let read = |(origin, text): (_, &str)| {
        let mut record = Object::open(Line { text, origin: &origin })?;
        Ok((record.required_id("case_id")?, record.required("relation")?))
    };
    file.records()?.into_iter().map(read).collect()
}

fn record(case: &Case) -> Result<Value, &'static str> {
    let [edit] = &case.edits[..] else { return Err("it has several edits") };
    let of_axis = |axis| case.questions.iter().find(move |question| question.axis == axis);
    let other = of_axis(Axis::Paraphrase).ok_or("it has no paraphrase")?;
    let neighbor = of_axis(Axis::Neighbor).ok_or("it has no neighbor")?;
    Ok(json!({
        "case_id": number(&case.id),
        "prompt": edit.prompt.text(),
        "target_new": edit.target_new,
        "subject": edit.subject(),
        "ground_truth": edit.target_true.as_deref().ok_or("its old object is unknown")?,
        "rephrase_prompt": other.prompt.text(),
        "locality_prompt": neighbor.prompt.text(),
        "locality_ground_truth": neighbor.answer().ok_or("its neighbor has no answer")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{again, left_out, placeless, questions, read, read_beside, refusal};
    use super::*;

    fn line(id: usize, subject: &str, rephrase: &str) -> String {
        let record = json!({
            "case_id": id,
            "prompt": format!("{subject} lives in"),
            "target_new": "Oslo",
            "subject": subject,
            "ground_truth": "Rome",
            "rephrase_prompt": rephrase,
            "locality_prompt": "Di lives in",
            "locality_ground_truth": "Rome",
        });
        format!("{record}\n")
    }

    fn three() -> String {
        let paraphrase = "It rained. The home of Cy is";
        line(7, "Ann", "Ann dreams of")
            + &line(8, "Bo", "Bo dreams of")
            + &line(9, "Cy", paraphrase)
    }

    #[test]
    fn what_recurs_begins_a_text_and_what_stands_alone_is_a_paraphrase() {
        let found = read("counterfact-flat", &three()).unwrap();
        assert_eq!(
            questions(&found.cases[0]),
            [
                "rewrite: {Ann} lives in => Oslo !Rome",
                "generation: {Ann} dreams of => ",
                "neighbor: Di lives in => Rome !Oslo",
            ]
        );
        let paraphrase = "paraphrase: It rained. The home of {Cy} is => Oslo !Rome";
        assert_eq!(questions(&found.cases[2])[1], paraphrase);
        assert_eq!((found.cases[2].id.as_str(), &found.cases[2].group), ("9", &None));
    }

    #[test]
    fn what_says_the_relation_is_a_paraphrase_though_it_recurs() {
        let text = line(1, "Ann", "Ann originated from") + &line(2, "Bo", "Bo originated from");
        let relations =
            "{\"case_id\":1,\"relation\":\"P740\"}\n{\"case_id\":2,\"relation\":\"P101\"}";
        let found =
            read_beside("counterfact-flat", &text, &[("case_relations.jsonl", relations)]).unwrap();
        let axes: Vec<_> = found.cases.iter().map(|case| case.questions[1].axis).collect();
        assert_eq!(axes, [Axis::Paraphrase, Axis::Generation]);
        assert_eq!(found.cases[1].group.as_deref(), Some("P101"));
    }

    #[test]
    fn patterns_of_the_relation_make_paraphrases() {
        let patterns = r#"{"relation":"P1","pattern":"The home of [X] is [Y]."}
            {"relation":"P1","pattern":"[X] lives in [Y]."}
            {"relation":"P1","pattern":"[Y] is home to [X]."}"#;
        let relations = [7, 8, 9].map(|id| format!("{{\"case_id\":{id},\"relation\":\"P1\"}}\n"));
        let others = [("case_relations.jsonl", &*relations.concat()), ("patterns.jsonl", patterns)];
        let found = read_beside("counterfact-flat", &three(), &others).unwrap();
        assert_eq!(
            questions(&found.cases[1])[1..3],
            ["generation: {Bo} dreams of => ", "paraphrase: The home of {Bo} is => Oslo !Rome"]
        );
    }

    #[test]
    fn patterns_for_cases_of_no_relation_are_refused() {
        let patterns = r#"{"relation":"P1","pattern":"The home of [X] is [Y]."}"#;
        let found = read_beside("counterfact-flat", &three(), &[("patterns.jsonl", patterns)]);
        let error = found.unwrap_err().to_string();
        assert!(error.contains("case_relations.jsonl"), "{error}");
    }

    #[test]
    fn a_case_that_names_its_subject_twice_is_left_out() {
        let text = three() + &line(1, "x lives in x", "y");
        let text = text.replace("\"subject\":\"x lives in x\"", "\"subject\":\"x\"");
        assert_eq!(
            left_out(&read("counterfact-flat", &text).unwrap()),
            "`prompt`: subject found more than once: put {} around the right \"x\" in: \
             x lives in x lives in"
        );
    }

    #[test]
    fn errors_of_form_name_line_and_key() {
        let twice = line(7, "Ann", "a") + "\n" + &line(7, "Bo", "b");
        assert_eq!(
            refusal("counterfact-flat", &twice),
            ":3: repeats the id of line 1: give each case its own, found: 7"
        );
        let lacks = line(7, "Ann", "a").replace("ground_truth", "truth");
        assert_eq!(refusal("counterfact-flat", &lacks), ":1: missing key: ground_truth");
        let list = line(7, "Ann", "a").replace("7", "[]");
        assert_eq!(
            refusal("counterfact-flat", &list),
            ":1: `case_id` has the wrong type: expected a string or a number, found: a list"
        );
    }

    #[test]
    fn what_the_format_holds_is_written() {
        let found = placeless(read("counterfact-flat", &three()).unwrap().cases);
        assert_eq!(again("counterfact-flat", &found), found[2..]);
        let written = DATASET.write(&found).unwrap();
        assert_eq!(written.n_cases, 1);
        assert_eq!(written.left_out[0], ("7".to_owned(), "it has no paraphrase".to_owned()));
    }
}
