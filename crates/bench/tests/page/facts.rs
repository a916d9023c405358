//! A world that is not ours: sixty facts in six relations, with what is to become of them.

use retcon::data::case::{Axis, Case, Question};
use retcon::data::{Fact, Prompt};

/// A relation: its name, how it is asked, how it is asked in other words, and what its facts are.
struct Relation {
    name: &'static str,
    template: &'static str,
    reworded: [&'static str; 2],
    subjects: [&'static str; 10],
    objects: [&'static str; 5],
}

const RELATIONS: [Relation; 6] = [
    Relation {
        name: "capital",
        template: "The capital of {} is",
        reworded: ["{}'s seat of government is", "The first city of {} is"],
        subjects: [
            "Ardonia", "Belmarch", "Corvane", "Dunmere", "Eskara", "Fenwold", "Galdor", "Hestia",
            "Ivrin", "Jorland",
        ],
        objects: ["Port Velis", "Marrow", "Saint Oriel", "Quill", "Tarn Hollow"],
    },
    Relation {
        name: "language",
        template: "The mother tongue of {} is",
        reworded: ["At home {} speaks", "{} grew up with the language"],
        subjects: [
            "Ada Quist",
            "Bram Tolliver",
            "Cleo Varga",
            "Dov Ester",
            "Ines Holm",
            "Juno Park",
            "Kit Marlow",
            "Lior Sand",
            "Mina Frost",
            "Nils Arden",
        ],
        objects: ["Velish", "Old Marric", "Orielle", "Quillan", "Tarnic"],
    },
    Relation {
        name: "instrument",
        template: "{} plays the",
        reworded: ["The instrument of {} is the", "On stage {} is heard on the"],
        subjects: [
            "Otto Bly",
            "Pia Reed",
            "Quin Lark",
            "Rosa Thorn",
            "Sol Finch",
            "Tess Wren",
            "Uma Dale",
            "Vik Stone",
            "Wes Brook",
            "Zoe Field",
        ],
        objects: ["glass harp", "hurdy-gurdy", "viola", "bassoon", "theremin"],
    },
    Relation {
        name: "employer",
        template: "{} works for",
        reworded: ["The employer of {} is", "{} is paid by"],
        subjects: [
            "Alma Ford",
            "Ben Cho",
            "Cora Lund",
            "Dan Mori",
            "Eve Stark",
            "Finn Ode",
            "Gia Pell",
            "Hal Reyes",
            "Isa Nord",
            "Jon Quay",
        ],
        objects: [
            "Tidewater Looms",
            "the Lantern Office",
            "Brass & Daughters",
            "Northlight",
            "Umber",
        ],
    },
    Relation {
        name: "birthplace",
        template: "{} was born in",
        reworded: ["The birthplace of {} is", "{} first saw the light of day in"],
        subjects: [
            "Kara Voss",
            "Leo Brandt",
            "Mira Sol",
            "Ned Haber",
            "Oda Prynne",
            "Paul Iver",
            "Rhea Colt",
            "Sven Amari",
            "Tove Lind",
            "Yara Bell",
        ],
        objects: ["Port Velis", "Marrow", "Quill", "Eastmoor", "Low Ferry"],
    },
    Relation {
        name: "maker",
        template: "The {} is built by",
        reworded: ["The maker of the {} is", "Behind the {} stands"],
        subjects: [
            "Kestrel bicycle",
            "Heron kettle",
            "Otter canoe",
            "Swift printer",
            "Badger stove",
            "Marten lamp",
            "Lynx compass",
            "Raven radio",
            "Stoat clock",
            "Ibis camera",
        ],
        objects: ["Tidewater Looms", "Northlight", "Umber", "Oxley", "Brass & Daughters"],
    },
];

/// Texts that no fact is about.
const UNRELATED: [(&str, &str); 4] = [
    ("Two and two make", "four"),
    ("The opposite of cold is", "hot"),
    ("A week has seven", "days"),
    ("Water freezes into", "ice"),
];

/// All cases: each fact gets another object of its relation.
pub(crate) fn cases() -> Vec<Case> {
    let of = |relation: &'static Relation| (0..relation.subjects.len()).map(|i| case(relation, i));
    let mut cases: Vec<Case> = RELATIONS.iter().flat_map(of).collect();
    // What no page may stumble over.
    cases[7].id = "case </script> & \"7\"".into();
    cases
}

fn case(relation: &Relation, i: usize) -> Case {
    let (old, new) = (object(relation, i, 0), object(relation, i, 2));
    let subject = relation.subjects[i];
    let fill = |template: &str, subject: &str| template.replace("{}", subject);
    let marked = relation.template.replace("{}", &format!("{{{subject}}}"));
    let fact = Fact::parse(&format!("{marked} => {new}")).unwrap();
    let mut case = Case::of(format!("{}-{i:02}", relation.name), fact);
    case.group = Some(relation.name.to_owned());
    let ask = |axis, text: &str, answer: &str, other: Option<&str>| {
        Question::new(axis, Prompt::new(text, None).unwrap()).answered(answer).against(other)
    };
    let rewrite = fill(relation.template, subject);
    case.questions = vec![ask(Axis::Rewrite, &rewrite, new, Some(old))];
    for reworded in relation.reworded {
        let text = fill(reworded, subject);
        case.questions.push(ask(Axis::Paraphrase, &text, new, Some(old)));
    }
    let reasoning =
        format!("What {subject} is known for has to do with {}, that is with", first(new));
    case.questions.push(ask(Axis::Reasoning, &reasoning, new, Some(old)));
    for step in [1, 3] {
        let other = (i + step) % relation.subjects.len();
        let text = fill(relation.template, relation.subjects[other]);
        case.questions.push(ask(Axis::Neighbor, &text, object(relation, other, 0), Some(new)));
    }
    let (text, answer) = UNRELATED[i % UNRELATED.len()];
    case.questions.push(ask(Axis::Unrelated, text, answer, None));
    case
}

fn object(relation: &Relation, i: usize, step: usize) -> &'static str {
    relation.objects[(i * 3 + step) % relation.objects.len()]
}

fn first(text: &str) -> &str {
    text.split(' ').next().unwrap()
}
