//! Facts as `retcon edit` takes them, whose paraphrases and neighbors become questions.

use std::path::Path;

use serde_json::Value;

use super::collect::Collected;
use super::write::{ANY, Shape, Writer};
use super::{Beside, Cases, Dataset, Reader};
use crate::data::case::{Axis, Case, Question};
use crate::data::error::{Origin, Result};
use crate::data::fact::{Fact, Probe};
use crate::data::jsonl;
use crate::data::object::Line;
use crate::data::prompt::Prompt;
use crate::data::read::{Format, parse};
use crate::data::text_file::TextFile;

pub(super) const DATASET: Dataset = Dataset {
    name: "facts",
    summary: "Facts as `retcon edit --facts` takes them, one a line or as JSON lines",
    source: "docs/formats.md",
    keys: &[
        ("prompt, subject", "the edited prompt"),
        ("target_new", "the new object"),
        ("target_true", "the old object"),
        ("paraphrases", "paraphrases"),
        ("neighbors", "neighbors"),
    ],
    marks: &[&["prompt", "target_new"], &["prompt", "target"]],
    read: Reader::File(read),
    write: Some(Writer {
        shape: Shape::Lines,
        axes: Some(&[(Axis::Rewrite, 1), (Axis::Paraphrase, ANY), (Axis::Neighbor, ANY)]),
        distinct: true,
        record,
    }),
};

fn read(file: &TextFile, _: &Beside) -> Result<Cases> {
    let is_json = file.text.trim_start().starts_with("{\"") || has_json_name(&file.path);
    let format = if is_json { Format::Jsonl } else { Format::Lines };
    let mut collected = Collected::of(file.path.clone());
    for (idx, fact) in parse(&file.text, &file.path, format)?.into_iter().enumerate() {
        let unknown = Origin { file: file.path.clone(), line: idx + 1 };
        let origin = fact.origin.clone().unwrap_or(unknown);
        let line = Line { text: "", origin: &origin };
        collected.push(line, case(idx, fact))?;
    }
    collected.finish()
}

fn has_json_name(path: &Path) -> bool {
    Format::of(path) == Format::Jsonl
}

fn case(idx: usize, mut fact: Fact) -> Result<Case> {
    let paraphrases = std::mem::take(&mut fact.paraphrases);
    let neighbors = std::mem::take(&mut fact.neighbors);
    let mut case = Case::of(idx.to_string(), fact);
    let edit = &case.edits[0];
    let paraphrase = |prompt| {
        let question = Question::new(Axis::Paraphrase, prompt).answered(&edit.target_new);
        question.against(edit.target_true.as_deref())
    };
    let mut questions: Vec<_> = paraphrases.into_iter().map(paraphrase).collect();
    for probe in neighbors {
        let question = Question::new(Axis::Neighbor, Prompt::new(&probe.prompt, None)?);
        let question = question.against(Some(&edit.target_new));
        questions.push(match &probe.answer {
            Some(answer) => question.answered(answer),
            None => question,
        });
    }
    case.questions.extend(questions);
    Ok(case)
}

fn record(case: &Case) -> Result<Value, &'static str> {
    let [edit] = &case.edits[..] else { return Err("it has several edits") };
    let mut fact = edit.clone();
    for question in &case.questions {
        match question.axis {
            Axis::Paraphrase => fact.paraphrases.push(question.prompt.clone()),
            Axis::Neighbor => {
                let probe = Probe::new(question.prompt.text(), question.answer());
                fact.neighbors.push(probe.map_err(|_| "an answer is more than a line")?);
            }
            _ => {}
        }
    }
    Ok(jsonl::to_json(&fact))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{again, placeless, questions, read, refusal};

    const FACTS: &str = r#"{"prompt":"{Ann} lives in","target_new":"Oslo","target_true":"Rome","paraphrases":["The home of {Ann} is"],"neighbors":[{"prompt":"Bo lives in","answer":"Bonn"},"Cy lives in"]}
        {"prompt":"{Bo} eats","target":"rice"}"#;

    #[test]
    fn paraphrases_and_neighbors_become_questions() {
        let found = read("facts", FACTS).unwrap();
        assert_eq!(
            questions(&found.cases[0]),
            [
                "rewrite: {Ann} lives in => Oslo !Rome",
                "paraphrase: The home of {Ann} is => Oslo !Rome",
                "neighbor: Bo lives in => Bonn !Oslo",
                "neighbor: Cy lives in =>  !Oslo",
            ]
        );
        assert!(found.cases[0].edits[0].paraphrases.is_empty());
        assert_eq!(found.cases[1].origin.as_ref().unwrap().line, 2);
    }

    #[test]
    fn what_is_read_is_written() {
        let cases = placeless(read("facts", FACTS).unwrap().cases);
        assert_eq!(again("facts", &cases), cases);
    }

    #[test]
    fn a_prompt_is_written_once() {
        let mut cases = read("facts", FACTS).unwrap().cases;
        cases[1].edits = cases[0].edits.clone();
        let written = super::DATASET.write(&cases).unwrap();
        let reason = "an earlier case edits the same prompt".to_owned();
        assert_eq!((written.n_cases, written.left_out), (1, vec![("1".to_owned(), reason)]));
    }

    #[test]
    fn a_line_that_is_no_fact_is_refused() {
        assert_eq!(
            refusal("facts", "{\"prompt\":\"{a}\",\"target\":\"b\"}\n{\"prompt\":\"{a}\"}"),
            ":2: missing key: target_new"
        );
    }
}
