//! CounterFact as EasyEdit flattened it; it tells paraphrases from beginnings of texts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::asked::{fact, name, question};
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
    let id = case.id.parse::<u64>().map_or_else(|_| json!(case.id), |id| json!(id));
    Ok(json!({
        "case_id": id,
        "prompt": edit.prompt.text(),
        "target_new": edit.target_new,
        "subject": edit.subject(),
        "ground_truth": edit.target_true.as_deref().ok_or("its old object is unknown")?,
        "rephrase_prompt": other.prompt.text(),
        "locality_prompt": neighbor.prompt.text(),
        "locality_ground_truth": neighbor.answer().ok_or("its neighbor has no answer")?,
    }))
}
