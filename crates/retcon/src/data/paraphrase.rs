//! The same fact in other words, made without a model: by a table of relations, and by what may stand in front.

use super::article::{Article, capital};
use super::error::Result;
use super::prompt::Prompt;
use super::relations::relation_of;

/// Begins the sentence that the prompt goes on with.
const LEADS: &[&str] = &[
    "It is well known that ",
    "As everybody knows, ",
    "According to the encyclopedia, ",
    "The teacher explained that ",
    "Experts agree that ",
    "In the book it says that ",
];

/// Stands as a whole before the prompt, and says nothing about it.
const SENTENCES: &[&str] = &[
    "The weather was fine that day. ",
    "Fact: ",
    "The train left the station on time. ",
    "Complete the sentence. ",
    "She closed the book and looked up. ",
    "Q: What is the missing word? A: ",
];

/// Stands before and after a prompt that is a question.
const FRAMES: &[(&str, &str)] = &[
    ("Q: ", " A:"),
    ("Question: ", " Answer:"),
    ("The next question is easy. ", ""),
    ("The weather was fine that day. ", ""),
    ("Please answer: ", ""),
];

/// First words that are small inside a sentence.
const SMALL: &[&str] = &[
    "The", "A", "An", "In", "On", "At", "It", "By", "For", "From", "To", "Of", "When", "Where",
    "Who", "What", "Which", "People", "Visitors", "This", "That", "There", "As",
];

/// Rewordings of a prompt and, after them, the prompt in other contexts: `n` of them, or as many as there are.
#[must_use]
pub fn paraphrases(prompt: &Prompt, n: usize) -> Vec<Prompt> {
    rewordings(prompt).into_iter().chain(contexts(prompt)).take(n).collect()
}

/// Other wordings of the relation that the prompt asks for; none if the relation is not a known one.
///
/// The object comes last, in a slot if the prompt has one.
#[must_use]
pub fn rewordings(prompt: &Prompt) -> Vec<Prompt> {
    let Some(relation) = relation_of(prompt) else {
        return Vec::new();
    };
    let reworded = relation.others(prompt).filter_map(|wording| reword(wording, prompt).ok());
    match prompt.slot() {
        Some(_) => reworded.map(Prompt::masked).collect(),
        None => reworded.collect(),
    }
}

/// The same wording after words that leave its meaning as it is.
#[must_use]
pub fn contexts(prompt: &Prompt) -> Vec<Prompt> {
    if prompt.text().ends_with('?') {
        return FRAMES.iter().filter_map(|frame| framed(prompt, frame).ok()).collect();
    }
    let small = lowered(prompt);
    let pairs = LEADS.iter().zip(SENTENCES);
    pairs
        .flat_map(|(lead, sentence)| [small.after(lead), prompt.after(sentence)])
        .filter_map(Result::ok)
        .collect()
}

/// Puts the subject of a prompt, with its article, into another wording.
fn reword(wording: &str, prompt: &Prompt) -> Result<Prompt> {
    let subject = prompt.subject_text().unwrap_or_default();
    let first = wording.starts_with("{}");
    match (Article::of(prompt), first) {
        (Article::Before, true) => Prompt::fill(&format!("The {wording}"), subject),
        (Article::Before, false) => Prompt::fill(&wording.replacen("{}", "the {}", 1), subject),
        (Article::Within, true) => Prompt::fill(wording, &capital(subject)),
        (Article::Within | Article::Missing, _) => Prompt::fill(wording, subject),
    }
}

fn framed(prompt: &Prompt, (before, after): &(&str, &str)) -> Result<Prompt> {
    let subject =
        prompt.subject().map(|range| range.start + before.len()..range.end + before.len());
    Prompt::new(&format!("{before}{}{after}", prompt.text()), subject)
}

/// The prompt with a small first letter, where its first word allows it.
fn lowered(prompt: &Prompt) -> Prompt {
    let text = prompt.text();
    let word = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let in_subject = prompt.subject().is_some_and(|range| range.start < word.len());
    if in_subject || !SMALL.contains(&word) {
        return prompt.clone();
    }
    let lowered = format!("{}{}", word.to_lowercase(), &text[word.len()..]);
    Prompt::new(&lowered, prompt.subject()).unwrap_or_else(|_| prompt.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::relations::RELATIONS;

    #[track_caller]
    fn check(make: fn(&Prompt) -> Vec<Prompt>, marked: &str, expected: &[&str]) {
        let made = make(&Prompt::parse(marked).unwrap());
        let found: Vec<_> = made.iter().map(Prompt::marked).collect();
        assert_eq!(found.get(..expected.len()).unwrap_or(&found), expected);
        assert_eq!(found.is_empty(), expected.is_empty());
    }

    #[test]
    fn known_relations_are_reworded() {
        check(
            rewordings,
            "The capital of {France} is",
            &["{France}'s capital is", "The capital city of {France} is"],
        );
        check(rewordings, "{France}'s capital is", &["The capital of {France} is"]);
        check(rewordings, "Who wrote {The Hobbit}?", &["The author of {The Hobbit} is"]);
        check(rewordings, "{France}'s capital is [MASK].", &["The capital of {France} is [MASK]."]);
        check(rewordings, "The color of {France} is", &[]);
    }

    #[test]
    fn the_article_comes_along() {
        check(
            rewordings,
            "The capital of the {Netherlands} is",
            &["The {Netherlands}'s capital is", "The capital city of the {Netherlands} is"],
        );
        check(
            rewordings,
            "The capital of {the Netherlands} is",
            &["{The Netherlands}'s capital is"],
        );
        check(rewordings, "The {Louvre} is in", &["The {Louvre} is located in"]);
    }

    #[test]
    fn contexts_keep_the_prompt() {
        check(
            contexts,
            "The capital of {France} is",
            &[
                "It is well known that the capital of {France} is",
                "The weather was fine that day. The capital of {France} is",
            ],
        );
        check(contexts, "{The Hague} is in", &["It is well known that {The Hague} is in"]);
        check(contexts, "Paris, in {France} is", &["It is well known that Paris, in {France} is"]);
        check(contexts, "Where is {Rome}?", &["Q: Where is {Rome}? A:"]);
    }

    #[test]
    fn every_paraphrase_keeps_its_subject() {
        for relation in RELATIONS {
            for wording in relation.wordings {
                let prompt = Prompt::fill(wording, "Zürich").unwrap();
                let all = paraphrases(&prompt, 99);
                assert!(all.len() >= 12 + relation.wordings.len() - 1);
                for (idx, paraphrase) in all.iter().enumerate() {
                    assert_eq!(paraphrase.subject_text(), Some("Zürich"));
                    assert!(*paraphrase != prompt && !all[..idx].contains(paraphrase));
                }
            }
        }
    }
}
