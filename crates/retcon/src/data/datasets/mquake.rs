//! MQuAKE's cases: several edits at once, and questions at the end of a chain that goes through them.

use super::asked::{fact, filled, names, question};
use super::{Beside, Cases, Dataset, Reader, collect};
use crate::data::case::{Axis, Case, Question, Test};
use crate::data::error::{Error, Result};
use crate::data::fact::Fact;
use crate::data::object::{Line, Object};
use crate::data::text_file::TextFile;

pub(super) const DATASET: Dataset = Dataset {
    name: "mquake",
    summary: "MQuAKE, questions at the end of a chain of facts, some of which are edited together",
    source: "Zhong et al. 2023, arXiv:2305.14795",
    keys: &[
        ("case_id", "the id"),
        ("requested_rewrite[].prompt, .subject", "the edited prompts, {} where a subject goes"),
        ("requested_rewrite[].target_new.str, .target_true.str", "the new and the old objects"),
        (
            "questions",
            "the end of the chain in three wordings, of which one right answer is enough",
        ),
        ("new_answer, new_answer_alias", "the names of its answer"),
        ("answer", "what competes with that"),
        ("new_single_hops", "the facts of the chain; how many there are is the group"),
        ("single_hops, orig", "nothing"),
    ],
    marks: &[&["requested_rewrite", "questions", "new_answer"]],
    read: Reader::File(read),
    write: None,
};

/// The tests of a case, by index: one wording is enough, and all facts of the chain.
const END: usize = 0;
const CHAIN: usize = 1;

fn read(file: &TextFile, _: &Beside) -> Result<Cases> {
    collect::cases(file, |line, idx| {
        let mut record = Object::open(line)?;
        let edits = edits(line, &mut record)?;
        let mut case = Case {
            id: record.id("case_id")?.unwrap_or_else(|| idx.to_string()),
            group: None,
            questions: edits.iter().map(rewrite).collect(),
            edits,
            tests: vec![Test::Any, Test::All],
            references: Vec::new(),
            origin: None,
        };
        case.questions.extend(end(line, &mut record)?);
        let chain = chain(line, &mut record)?;
        case.group = Some(format!("{} hops", chain.len()));
        case.questions.extend(chain);
        Ok(case)
    })
}

fn edits(line: Line<'_>, record: &mut Object<'_>) -> Result<Vec<Fact>> {
    let rewrites = record.objects("requested_rewrite")?;
    if rewrites.is_empty() {
        return Err(line.error(Error::MissingKey { key: "requested_rewrite" }));
    }
    let edit = |mut rewrite: Object<'_>| {
        let (template, subject) = (rewrite.required("prompt")?, rewrite.required("subject")?);
        let new = rewrite.required_object("target_new")?.required("str")?;
        let old = rewrite.required_object("target_true")?.required("str")?;
        let prompt = line.at("requested_rewrite", filled(&template, &subject))?;
        fact(prompt, &new, Some(&old))
    };
    rewrites.into_iter().map(edit).collect()
}

fn rewrite(edit: &Fact) -> Question {
    let question = Question::new(Axis::Rewrite, edit.prompt.clone()).answered(&edit.target_new);
    question.against(edit.target_true.as_deref())
}

fn end(line: Line<'_>, record: &mut Object<'_>) -> Result<Vec<Question>> {
    let answer = answer(line, record, ["new_answer", "new_answer_alias"])?;
    let old = record.string("answer")?.filter(|old| !answer.contains(old));
    let ask = |text: String| {
        let question = line.at("questions", question(Axis::MultiHop, &text, ""))?;
        let question = question.named(answer.clone()).against(old.as_deref());
        Ok(question.in_test(END, false))
    };
    record.strings("questions")?.into_iter().map(ask).collect()
}

fn chain(line: Line<'_>, record: &mut Object<'_>) -> Result<Vec<Question>> {
    let ask = |mut hop: Object<'_>| {
        let text = hop.required_one_of(&["cloze", "question"])?;
        let question = line.at("new_single_hops", question(Axis::SingleHop, &text, ""))?;
        let answer = answer(line, &mut hop, ["answer", "answer_alias"])?;
        Ok(question.named(answer).in_test(CHAIN, false))
    };
    record.objects("new_single_hops")?.into_iter().map(ask).collect()
}

/// The names of an answer, the main one first.
fn answer(
    line: Line<'_>,
    record: &mut Object<'_>,
    [key, aliases]: [&'static str; 2],
) -> Result<Vec<String>> {
    let first = record.required(key)?;
    line.at(key, names([first].into_iter().chain(record.strings(aliases)?)))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{questions, read, refusal};
    use super::*;

    const CASES: &str = r#"[{"case_id":1,"requested_rewrite":[
          {"prompt":"{} lives in","relation_id":"P1","target_new":{"str":"Oslo"},"target_true":{"str":"Rome"},"subject":"Ann","question":"Where does Ann live?"},
          {"prompt":"The river of {} is","relation_id":"P2","target_new":{"str":"Po"},"target_true":{"str":"Alna"},"subject":"Oslo"}],
         "questions":["What flows where Ann lives?","Which river is at Ann's home?"],
         "answer":"Tiber","answer_alias":["Tevere"],"new_answer":"Po","new_answer_alias":["the Po","Po"],
         "single_hops":[],"new_single_hops":[
          {"question":"Where does Ann live?","cloze":"Ann lives in","answer":"Oslo","answer_alias":[]},
          {"question":"What flows in Oslo?","answer":"Po","answer_alias":["the Po"]}],"orig":{}}]"#;

    #[test]
    fn one_wording_is_enough_and_the_whole_chain_is_asked() {
        let found = read("mquake", CASES).unwrap();
        let case = &found.cases[0];
        assert_eq!(
            questions(case),
            [
                "rewrite: {Ann} lives in => Oslo !Rome",
                "rewrite: The river of {Oslo} is => Po !Alna",
                "multi-hop: What flows where Ann lives? => Po|the Po !Tiber #0",
                "multi-hop: Which river is at Ann's home? => Po|the Po !Tiber #0",
                "single-hop: Ann lives in => Oslo #1",
                "single-hop: What flows in Oslo? => Po|the Po #1",
            ]
        );
        assert_eq!(case.tests, [Test::Any, Test::All]);
        assert_eq!(case.group.as_deref(), Some("2 hops"));
    }

    #[test]
    fn errors_of_form_name_line_and_key() {
        assert_eq!(refusal("mquake", r#"{"case_id":1}"#), ":1: missing key: requested_rewrite");
        assert_eq!(
            refusal("mquake", &CASES.replace("\"new_answer\":", "\"answers\":")),
            ":1: missing key: new_answer"
        );
        assert_eq!(
            refusal(
                "mquake",
                &CASES.replace("[\"Tevere\"],\"new_answer\":\"Po\"", "[],\"new_answer\":[]")
            ),
            ":1: `new_answer` has the wrong type: expected a string, found: a list"
        );
    }
}
