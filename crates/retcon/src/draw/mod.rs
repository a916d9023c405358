//! Pictures, as SVG and PNG; it knows nothing of what they show.

mod heat_map;
mod png;
mod with_axes;

pub use heat_map::{Axes, HeatMap, Hue};
pub use png::png;

use crate::error::Error;

/// The family of all letters; which font that is, whoever shows the picture decides.
pub(crate) const FONT: &str = "sans-serif";

/// What can't be drawn.
pub(crate) fn failed(error: impl std::fmt::Display) -> Error {
    Error::NoPicture { what: error.to_string() }
}

/// The width that a text of that size is likely to have, rather more than less.
pub(crate) fn text_width(text: &str, size: i32) -> i32 {
    let halves = text.chars().map(|c| match c {
        // Ideographs and the like are as wide as they are high.
        '\u{1100}'.. => 20,
        'i' | 'l' | 'j' | '.' | ',' | ' ' | '\'' | 'I' | 't' | 'f' | 'r' | '(' | ')' => 8,
        'm' | 'w' | 'M' | 'W' | '%' => 17,
        c if c.is_uppercase() => 14,
        _ => 12,
    });
    // Letters have four fifths of the size that is asked for.
    halves.sum::<i32>() * size / 24
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The texts of a picture that reach out of it on either side.
    pub(crate) fn cut_off(svg: &str) -> Vec<String> {
        let number = |text: &str, key: &str| {
            let (_, rest) = text.split_once(&format!("{key}=\"")).unwrap();
            rest.split('"').next().unwrap().parse::<f64>().unwrap() as i32
        };
        let width = number(svg, "<svg width");
        let texts = svg.split("<text ").skip(1).map(|text| text.split("</text>").next().unwrap());
        let is_cut = |text: &&str| {
            let (head, words) = text.split_once('>').unwrap();
            let words = words.trim().replace("&lt;", "<").replace("&gt;", ">");
            let (x, wide) = (number(head, "x"), text_width(&words, 13));
            let left = match head {
                head if head.contains("\"middle\"") => x - wide / 2,
                head if head.contains("\"end\"") => x - wide,
                _ => x,
            };
            !head.contains("rotate") && (left < 0 || left + wide > width)
        };
        texts.filter(is_cut).map(str::to_owned).collect()
    }
}
