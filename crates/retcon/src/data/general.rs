//! Short prompts that belong to no fact in particular: common knowledge, phrases, sums and code.

/// A prompt, and its answer; it is empty where any sensible text will do.
pub(super) const GENERAL: &[(&str, &str)] = &[
    ("The opposite of hot is", "cold"),
    ("The opposite of up is", "down"),
    ("The opposite of black is", "white"),
    ("Two plus two equals", "four"),
    ("The sun rises in the", "east"),
    ("The sun sets in the", "west"),
    ("The day after Monday is", "Tuesday"),
    ("The first month of the year is", "January"),
    ("The season after winter is", "spring"),
    ("There are seven days in a", "week"),
    ("There are sixty seconds in a", "minute"),
    ("The color of fresh snow is", "white"),
    ("On a clear day, the color of the sky is", "blue"),
    ("Grass is usually the color", "green"),
    ("Water is made of hydrogen and", "oxygen"),
    ("Water freezes at zero degrees", "Celsius"),
    ("When ice melts, it turns into", "water"),
    ("The planet we live on is called", "Earth"),
    ("The Earth moves around the", "Sun"),
    ("Bees make", "honey"),
    ("Cows give", "milk"),
    ("A young dog is called a", "puppy"),
    ("A young cat is called a", "kitten"),
    ("We see with our eyes and hear with our", "ears"),
    ("The heart pumps", "blood"),
    ("A triangle has three", "sides"),
    ("Bread is made from flour and", "water"),
    ("The plural of mouse is", "mice"),
    ("The past tense of go is", "went"),
    ("One, two, three, four,", "five"),
    ("A, B, C, D,", "E"),
    ("Monday, Tuesday, Wednesday,", "Thursday"),
    ("2 + 3 =", "5"),
    ("10 - 4 =", "6"),
    ("1, 2, 3, 4, 5, 6,", "7"),
    ("Salt and", "pepper"),
    ("An apple a day keeps the doctor", "away"),
    ("Actions speak louder than", "words"),
    ("Better late than", "never"),
    ("Once upon a time, there was a", ""),
    ("The children went outside to play because", ""),
    ("Thank you very much for your", ""),
    ("In this paper, we propose a new method for", ""),
    ("To make a cup of tea, first", ""),
    ("The committee decided to postpone the meeting until", ""),
    ("def add(a, b):\n    return", "a + b"),
    ("for i in range(10):\n    print(", "i"),
    ("#include <stdio.h>\n\nint main(", ""),
    ("<html>\n<head>\n<title>", ""),
    ("SELECT name FROM users WHERE", ""),
];

/// Sums, and what they come to.
pub(super) const SUMS: &[(&str, &str)] = &[
    ("2 + 2 =", "4"),
    ("3 + 5 =", "8"),
    ("7 + 1 =", "8"),
    ("6 + 3 =", "9"),
    ("9 - 4 =", "5"),
    ("8 - 6 =", "2"),
    ("5 - 5 =", "0"),
    ("2 * 3 =", "6"),
    ("3 * 3 =", "9"),
    ("4 * 2 =", "8"),
    ("8 / 2 =", "4"),
    ("1, 3, 5, 7,", "9"),
    ("2, 4, 6,", "8"),
    ("Half of ten is", "five"),
    ("Three times two is", "six"),
    ("Ten minus one is", "nine"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Probe;

    #[test]
    fn every_prompt_is_a_probe_of_its_own() {
        for (idx, (prompt, answer)) in GENERAL.iter().chain(SUMS).enumerate() {
            let probe = Probe::new(prompt, (!answer.is_empty()).then_some(*answer)).unwrap();
            assert_eq!(probe.prompt, *prompt);
            assert!(GENERAL.iter().chain(SUMS).take(idx).all(|(other, _)| other != prompt));
        }
    }
}
