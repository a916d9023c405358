//! Numbers as people read them.

use crate::results::Unit;

/// `value` as a table shows it, without its unit: shares in percent; `–` where it is no number.
#[must_use]
pub fn number(value: f64, unit: Unit) -> String {
    if !value.is_finite() {
        let word = if value == f64::INFINITY { "∞" } else { "–" };
        return word.to_owned();
    }
    let text = match unit {
        Unit::Share => format!("{:.1}", 100.0 * value),
        Unit::Number | Unit::Seconds => match value.abs() {
            size if size >= 1e6 => format!("{value:.1e}"),
            size if size >= 100.0 => format!("{value:.0}"),
            size if size >= 10.0 => format!("{value:.1}"),
            size if size >= 1.0 => format!("{value:.2}"),
            size if size >= 0.001 || size == 0.0 => format!("{value:.3}"),
            _ => format!("{value:.1e}"),
        },
    };
    // A minus before nothing but zeros tells nothing.
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

/// What stands behind the name of a column: `%` for shares, `s` for seconds.
pub(super) fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Share => "%",
        Unit::Number => "",
        Unit::Seconds => "s",
    }
}

/// A probability of a test, as publications write it.
#[must_use]
pub fn p_value(p: f64) -> String {
    match p {
        p if !p.is_finite() => "–".to_owned(),
        p if p < 0.001 => "< 0.001".to_owned(),
        p => format!("{p:.3}"),
    }
}

/// `n` and the word for so many: `1 case`, `2 cases`.
pub(super) fn count(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_a_negative_zero() {
        let shown = [
            (number(0.93333, Unit::Share), "93.3"),
            (number(-0.0001, Unit::Share), "0.0"),
            (number(-0.05, Unit::Share), "−5.0"),
            (number(f64::NAN, Unit::Share), "–"),
            (number(f64::INFINITY, Unit::Number), "∞"),
            (number(1234.5, Unit::Number), "1234"),
            (number(2.1e10, Unit::Number), "2.1e10"),
            (number(12.345, Unit::Seconds), "12.3"),
            (number(0.0, Unit::Number), "0.000"),
            (number(0.000_012, Unit::Number), "1.2e-5"),
            (p_value(0.0004), "< 0.001"),
            (p_value(0.25), "0.250"),
        ];
        for (found, expected) in shown {
            assert_eq!(found, expected);
        }
    }
}
