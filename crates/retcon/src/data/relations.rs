//! Relations that prompts ask for, and the ways to ask; each wording ends where the object begins.

use super::names::{Kind, Property, kind_of};
use super::prompt::Prompt;

/// A relation, and its wordings with the subject as `{}`, without an article of its own.
pub(super) struct Relation {
    /// What its subjects are.
    pub(super) kind: Kind,
    /// The property of a known subject that answers it.
    pub(super) property: Option<Property>,
    /// Wordings to recognize and to offer, the best first.
    pub(super) wordings: &'static [&'static str],
    /// Wordings to recognize only: questions, and those that mean more than one relation.
    also: &'static [&'static str],
}

impl Relation {
    /// The wordings that differ from the prompt's own.
    pub(super) fn others(&self, prompt: &Prompt) -> impl Iterator<Item = &'static str> {
        let shape = shape(prompt).unwrap_or_default();
        self.wordings.iter().copied().filter(move |wording| wording.to_lowercase() != shape)
    }

    /// The wordings that are whole questions, as far as they are recognized.
    pub(super) fn questions(&self) -> impl Iterator<Item = &'static str> {
        self.also.iter().copied().filter(|wording| wording.ends_with('?'))
    }

    fn asks(&self, shape: &str) -> bool {
        self.wordings.iter().chain(self.also).any(|wording| wording.to_lowercase() == shape)
    }
}

/// The relation that a prompt asks for, if it is in the table.
///
/// A wording that fits several relations counts for the one whose kind the subject is of, or else for the first.
pub(super) fn relation_of(prompt: &Prompt) -> Option<&'static Relation> {
    let shape = shape(prompt)?;
    let kind = kind_of(prompt.subject_text()?);
    let fitting = || RELATIONS.iter().filter(|relation| relation.asks(&shape));
    fitting().find(|relation| Some(relation.kind) == kind).or_else(|| fitting().next())
}

/// The wording of a prompt that has its object last, in lower case and without an article before the subject.
fn shape(prompt: &Prompt) -> Option<String> {
    let subject = prompt.subject()?;
    let end = prompt.slot().map_or(prompt.text().len(), |slot| slot.start);
    let tail = prompt.slot().map_or("", |slot| &prompt.text()[slot.end..]);
    let closed = tail.chars().all(|c| c.is_whitespace() || matches!(c, '.' | '!' | ';'));
    if !closed || end < subject.end {
        return None;
    }
    let before = prompt.text()[..subject.start].to_lowercase();
    let before = before.strip_suffix("the ").unwrap_or(&before);
    let after = prompt.text()[subject.end..end].to_lowercase().replace('’', "'");
    let words: Vec<_> =
        format!("{before}{{}}{after}").split_whitespace().map(str::to_owned).collect();
    Some(words.join(" ").trim_end_matches([' ', ':']).to_owned())
}

use Kind as K;
use Property as P;

/// Every relation; among equal wordings the first counts.
pub(super) const RELATIONS: &[Relation] = &[
    Relation {
        kind: K::Country,
        property: Some(P::Capital),
        wordings: &[
            "The capital of {} is",
            "{}'s capital is",
            "The capital city of {} is",
            "{}'s capital city is",
            "In {}, the capital city is",
            "The city that serves as the capital of {} is",
            "{} has its capital in",
        ],
        also: &[
            "What is the capital of {}?",
            "What is {}'s capital?",
            "Which city is the capital of {}?",
            "The capital of {} is the city of",
            "{}, whose capital is",
        ],
    },
    Relation {
        kind: K::Country,
        property: Some(P::Language),
        wordings: &[
            "The official language of {} is",
            "{}'s official language is",
            "In {}, the official language is",
            "The language spoken in {} is",
            "In {}, people speak",
            "The national language of {} is",
        ],
        also: &[
            "What is the official language of {}?",
            "What language is spoken in {}?",
            "In {}, they understand",
            "In {}, the language spoken is",
            "People in {} speak",
        ],
    },
    Relation {
        kind: K::Landmark,
        property: Some(P::City),
        wordings: &[
            "{} is located in the city of",
            "{} is in the city of",
            "{} can be found in the city of",
            "The city where {} stands is",
            "Visitors to {} travel to the city of",
        ],
        also: &[],
    },
    Relation {
        kind: K::Landmark,
        property: Some(P::City),
        wordings: &[
            "{} is located in",
            "{} is in",
            "{} can be found in",
            "{} is situated in",
            "The place where {} is found is",
        ],
        also: &["Where is {}?", "Where is {} located?"],
    },
    Relation {
        kind: K::Country,
        property: Some(P::Continent),
        wordings: &[
            "{} is located on the continent of",
            "{} is part of the continent of",
            "{} belongs to the continent of",
            "{} is a country on the continent of",
            "The continent on which {} lies is",
        ],
        also: &[
            "{} is located in the continent of",
            "{} is a part of the continent of",
            "{} is a country in",
            "{} is located in",
            "{} is in",
            "What continent is {} in?",
            "Which continent is {} located on?",
            "The continent of {} is",
        ],
    },
    Relation {
        kind: K::Country,
        property: Some(P::Currency),
        wordings: &[
            "The currency of {} is the",
            "{}'s currency is the",
            "The official currency of {} is the",
            "In {}, people pay with the",
            "The money used in {} is the",
        ],
        also: &[],
    },
    Relation {
        kind: K::Country,
        property: Some(P::Currency),
        wordings: &[
            "The currency of {} is",
            "{}'s currency is",
            "The official currency of {} is",
            "The currency used in {} is",
        ],
        also: &["What is the currency of {}?", "What currency is used in {}?"],
    },
    Relation {
        kind: K::Country,
        property: None,
        wordings: &[
            "The president of {} is",
            "{}'s president is",
            "The current president of {} is",
            "The person who serves as president of {} is",
        ],
        also: &["Who is the president of {}?"],
    },
    Relation {
        kind: K::Country,
        property: None,
        wordings: &[
            "The prime minister of {} is",
            "{}'s prime minister is",
            "The current prime minister of {} is",
            "The person who serves as prime minister of {} is",
        ],
        also: &["Who is the prime minister of {}?"],
    },
    Relation {
        kind: K::Country,
        property: None,
        wordings: &[
            "The largest city in {} is",
            "{}'s largest city is",
            "The biggest city in {} is",
            "The largest city of {} is",
        ],
        also: &["What is the largest city in {}?"],
    },
    Relation {
        kind: K::City,
        property: Some(P::Country),
        wordings: &[
            "{} is located in the country of",
            "{} is a city in the country of",
            "{} lies in the country of",
            "The country that {} belongs to is",
            "The country in which {} is located is",
        ],
        also: &["What country is {} in?", "Which country is {} located in?"],
    },
    Relation {
        kind: K::City,
        property: Some(P::Country),
        wordings: &[
            "{} is a city in",
            "{} is located in",
            "{} is situated in",
            "{} can be found in",
            "{} is one of the cities of",
        ],
        also: &["{} is in", "{} is a town in"],
    },
    Relation {
        kind: K::Landmark,
        property: Some(P::Country),
        wordings: &[
            "{} is located in the country of",
            "{} is in the country of",
            "{} can be found in the country of",
            "The country where {} stands is",
            "Visitors to {} travel to the country of",
        ],
        also: &["What country is {} in?", "Which country is {} located in?"],
    },
    Relation {
        kind: K::City,
        property: Some(P::Continent),
        wordings: &[
            "{} is a city on the continent of",
            "{} is located on the continent of",
            "The continent on which {} lies is",
        ],
        also: &["{} is located in the continent of", "{} is in the continent of"],
    },
    Relation {
        kind: K::City,
        property: None,
        wordings: &["The mayor of {} is", "{}'s mayor is", "The current mayor of {} is"],
        also: &["Who is the mayor of {}?"],
    },
    Relation {
        kind: K::City,
        property: None,
        wordings: &["The twin city of {} is", "{} is a twin city of", "{} is twinned with"],
        also: &["What is the twin city of {}? It is"],
    },
    Relation {
        kind: K::Person,
        property: Some(P::Birthplace),
        wordings: &[
            "{} was born in",
            "{}'s birthplace is",
            "The birthplace of {} is",
            "{} was born in the city of",
            "{} came into the world in",
            "The place where {} was born is",
        ],
        also: &["Where was {} born?", "{} is originally from", "{} was originally from"],
    },
    Relation {
        kind: K::Person,
        property: None,
        wordings: &[
            "{} died in",
            "{} passed away in",
            "The place where {} died is",
            "{}'s place of death is",
            "{} spent the last days of life in",
        ],
        also: &["Where did {} die?", "{} died in the city of", "{} lost their life at"],
    },
    Relation {
        kind: K::Person,
        property: Some(P::Country),
        wordings: &[
            "{} is a citizen of",
            "{} holds the citizenship of",
            "The country of citizenship of {} is",
            "{} has the nationality of",
        ],
        also: &[
            "{} was a citizen of",
            "What is the nationality of {}?",
            "{}, who is a citizen of",
            "{}, who has a citizenship from",
        ],
    },
    Relation {
        kind: K::Person,
        property: Some(P::Occupation),
        wordings: &[
            "The occupation of {} is",
            "{}'s occupation is",
            "The profession of {} is",
            "{}'s profession is",
            "By profession, {} is",
        ],
        also: &[
            "{} works as",
            "{}'s profession is that of",
            "What is the occupation of {}?",
            "What does {} do for a living?",
        ],
    },
    Relation {
        kind: K::Person,
        property: Some(P::Occupation),
        wordings: &[
            "{} works as a",
            "{} is known as a",
            "{} earns a living as a",
            "By profession, {} is a",
        ],
        also: &["{} worked as a", "{} was a", "{} is a"],
    },
    Relation {
        kind: K::Person,
        property: Some(P::Language),
        wordings: &[
            "The mother tongue of {} is",
            "{}'s mother tongue is",
            "The native language of {} is",
            "{}'s native language is",
            "The language that {} grew up with is",
            "{} is a native speaker of",
        ],
        also: &[
            "What is the mother tongue of {}?",
            "{} spoke the language",
            "{} speaks",
            "{}, a native",
        ],
    },
    Relation {
        kind: K::Musician,
        property: Some(P::Instrument),
        wordings: &[
            "{} plays the instrument",
            "The instrument that {} plays is the",
            "{}'s instrument is the",
            "{} is a player of the",
            "{} performs on the",
        ],
        also: &["{} plays the", "{} played the", "What instrument does {} play?", "{}, the"],
    },
    Relation {
        kind: K::Athlete,
        property: Some(P::Sport),
        wordings: &[
            "{} plays the sport of",
            "{}'s sport is",
            "The sport that {} plays is",
            "{} is a professional player of",
            "{} is famous for playing",
        ],
        also: &["{} professionally plays the sport", "{} plays", "What sport does {} play?"],
    },
    Relation {
        kind: K::Athlete,
        property: None,
        wordings: &[
            "{} plays for",
            "{} is a player of",
            "The team that {} plays for is",
            "{}'s team is",
        ],
        also: &["What team does {} play for?", "{} is a member of the sports team"],
    },
    Relation {
        kind: K::Athlete,
        property: None,
        wordings: &[
            "{} plays in the position of",
            "{} plays as",
            "The position that {} plays is",
            "{}'s position on the team is",
        ],
        also: &["Which position does {} play? They play as", "{} plays in the position"],
    },
    Relation {
        kind: K::Person,
        property: None,
        wordings: &[
            "{} works for",
            "{} is employed by",
            "The employer of {} is",
            "{}'s employer is",
        ],
        also: &["Who does {} work for?", "{} worked for", "{} was employed by", "{}, of"],
    },
    Relation {
        kind: K::Person,
        property: None,
        wordings: &[
            "{}'s area of work is",
            "{} works in the field of",
            "The field of {} is",
            "The domain of activity of {} is",
            "{} specializes in",
            "{}'s expertise is",
        ],
        also: &["{}'s domain of work is", "{}'s domain of activity is"],
    },
    Relation {
        kind: K::Person,
        property: None,
        wordings: &[
            "{} was educated at",
            "{} studied at",
            "The university that {} attended is",
            "{} is a graduate of",
        ],
        also: &["{} graduated from", "Where did {} study?"],
    },
    Relation {
        kind: K::Person,
        property: None,
        wordings: &[
            "{} is married to",
            "{}'s spouse is",
            "The spouse of {} is",
            "The person married to {} is",
        ],
        also: &["Who is {} married to?", "{}'s wife is", "{}'s husband is"],
    },
    Relation {
        kind: K::Person,
        property: None,
        wordings: &[
            "The religion of {} is",
            "{}'s religion is",
            "{} is a follower of",
            "The faith of {} is",
            "{} practices the religion of",
        ],
        also: &["{} follows the religion of", "{} is affiliated with the religion"],
    },
    Relation {
        kind: K::Person,
        property: None,
        wordings: &[
            "{} worked in the city of",
            "{} was active in the city of",
            "{} found employment in the city of",
            "The city where {} worked is",
        ],
        also: &["{} used to work in", "{} worked in", "{} took up work in"],
    },
    Relation {
        kind: K::Musician,
        property: None,
        wordings: &[
            "{} is signed to the record label",
            "The record label of {} is",
            "{}'s record label is",
            "The music of {} is released by",
        ],
        also: &["{} is represented by music label", "{}'s label is", "{} recorded for"],
    },
    Relation {
        kind: K::Musician,
        property: None,
        wordings: &[
            "The music that {} plays is",
            "{} plays music of the genre",
            "The genre of {}'s music is",
            "{} is known for performing",
        ],
        also: &["{} performs", "{} plays"],
    },
    Relation {
        kind: K::Company,
        property: Some(P::Founder),
        wordings: &[
            "{} was founded by",
            "The founder of {} is",
            "{}'s founder is",
            "{} was established by",
            "The person who founded {} is",
            "{} was started by",
        ],
        also: &["Who founded {}?", "Who is the founder of {}?", "The founder of {} was"],
    },
    Relation {
        kind: K::Company,
        property: None,
        wordings: &[
            "The CEO of {} is",
            "{}'s CEO is",
            "The chief executive officer of {} is",
            "{} is led by CEO",
            "The chief executive of {} is",
        ],
        also: &["Who is the CEO of {}?", "The current CEO of {} is", "{} is led by"],
    },
    Relation {
        kind: K::Company,
        property: Some(P::City),
        wordings: &[
            "The headquarters of {} is in",
            "{}'s headquarters is in",
            "{} is headquartered in",
            "{} has its headquarters in",
            "{} is based in",
            "The head office of {} is located in",
        ],
        also: &[
            "The headquarters of {} is located in",
            "The headquarters of {} are in",
            "{}'s headquarters are in",
            "{}, whose headquarters are in",
            "{}'s head office is in",
            "Where is {} headquartered?",
            "Where is the headquarters of {}?",
        ],
    },
    Relation {
        kind: K::Company,
        property: Some(P::Country),
        wordings: &[
            "{} is a company from",
            "{} was founded in the country of",
            "{} originates from",
            "The home country of {} is",
        ],
        also: &["{} was created in", "{} was from", "{} is from", "What country is {} from?"],
    },
    Relation {
        kind: K::Product,
        property: Some(P::Maker),
        wordings: &[
            "{} is a product of",
            "{} is made by",
            "{} is produced by",
            "The maker of {} is",
            "The company that makes {} is",
        ],
        also: &[
            "{} is manufactured by",
            "{}, produced by",
            "{}, created by",
            "Who makes {}?",
            "{} was produced by",
            "{} was created by",
        ],
    },
    Relation {
        kind: K::Product,
        property: Some(P::Maker),
        wordings: &[
            "{} was developed by",
            "The developer of {} is",
            "{}'s developer is",
            "{} is a product developed by",
            "The company that developed {} is",
        ],
        also: &["{} is developed by", "{}, developed by", "Who developed {}?"],
    },
    Relation {
        kind: K::Product,
        property: None,
        wordings: &[
            "{} is owned by",
            "The owner of {} is",
            "{}'s owner is",
            "{} belongs to",
            "{} is the property of",
        ],
        also: &["{} owner", "Who owns {}?", "{}, from"],
    },
    Relation {
        kind: K::Book,
        property: Some(P::Creator),
        wordings: &[
            "The author of {} is",
            "{} was written by",
            "{}'s author is",
            "The person who wrote {} is",
            "{} is a work by",
            "The writer of {} is",
        ],
        also: &["Who wrote {}?", "Who is the author of {}?", "The author of {} was"],
    },
    Relation {
        kind: K::Book,
        property: Some(P::Language),
        wordings: &[
            "The original language of {} is",
            "{} was originally written in",
            "The language in which {} was written is",
            "{} was first written in",
        ],
        also: &[
            "The language of {} is",
            "{} was written in",
            "The original language of {} was",
            "What language was {} written in?",
        ],
    },
    Relation {
        kind: K::Film,
        property: Some(P::Creator),
        wordings: &[
            "The director of {} is",
            "{} was directed by",
            "{}'s director is",
            "The person who directed {} is",
            "{} is a film by",
        ],
        also: &["Who directed {}?", "Who is the director of {}?", "The director of {} was"],
    },
    Relation {
        kind: K::Film,
        property: None,
        wordings: &[
            "{} premiered on",
            "{} was originally aired on",
            "{} was first shown on",
            "The network that first aired {} is",
            "{} debuted on",
        ],
        also: &["{} is to debut on", "{} was released on", "{} first aired on"],
    },
    Relation {
        kind: K::Film,
        property: None,
        wordings: &[
            "{} was created in the country of",
            "The country of origin of {} is",
            "{}'s country of origin is",
            "{} originated in the country of",
        ],
        also: &["{} originates from", "{}, that originated in", "{}, from"],
    },
    Relation {
        kind: K::Element,
        property: Some(P::Symbol),
        wordings: &[
            "The chemical symbol of {} is",
            "The chemical symbol for {} is",
            "The symbol for the element {} is",
            "In the periodic table, {} has the symbol",
        ],
        also: &["What is the chemical symbol for {}?", "The symbol for {} is"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(marked: &str, wording: Option<&str>) {
        let found = relation_of(&Prompt::parse(marked).unwrap());
        assert_eq!(found.map(|relation| relation.wordings[0]), wording, "{marked}");
    }

    #[test]
    fn prompts_are_recognized() {
        check("The capital of {France} is", Some("The capital of {} is"));
        check("the capital of the {Netherlands} is", Some("The capital of {} is"));
        check("{France}’s capital is [MASK].", Some("The capital of {} is"));
        check("What is the capital of {France}?", Some("The capital of {} is"));
        check("The capital of {Atlantis} is:", Some("The capital of {} is"));
        check("{France}'s capital is [MASK], on the Seine", None);
        check("[MASK] is the capital of {France}", None);
        check("The color of {France} is", None);
    }

    #[test]
    fn the_kind_of_the_subject_decides() {
        check("{France} is located in", Some("{} is located on the continent of"));
        check("{Paris} is located in", Some("{} is a city in"));
        check("The {Louvre} is located in", Some("{} is located in"));
        check("{The Louvre} is located in", Some("{} is located in"));
        check("{Atlantis} is located in", Some("{} is located in"));
    }

    #[test]
    fn every_wording_has_one_place_for_the_subject() {
        for relation in RELATIONS {
            assert!(relation.wordings.len() >= 3, "{}", relation.wordings[0]);
            for (idx, wording) in relation.wordings.iter().chain(relation.also).enumerate() {
                assert_eq!(wording.matches("{}").count(), 1, "{wording}");
                assert!(Prompt::fill(wording, "X").is_ok(), "{wording}");
                assert!(!relation.wordings[..idx.min(relation.wordings.len())].contains(wording));
            }
        }
    }
}
