//! How things look in a terminal: tables, numbers, progress.

pub(crate) mod progress;
pub(crate) mod report;

use comfy_table::{CellAlignment, ContentArrangement, Table};
use console::{Style, Term};

/// A table without frames, as wide as the terminal where there is one.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    table_of(header)
}

/// As [`table`], of columns whose number is not known beforehand.
pub(crate) fn table_of(header: impl Into<comfy_table::Row>) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header);
    if Term::stdout().is_term() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width()).unwrap_or(u16::MAX));
    }
    table
}

/// Columns of the terminal, or as many as are easy to read where there is none.
pub(crate) fn width() -> usize {
    /// Narrower terminals make tables that nobody can read.
    const LEAST: usize = 60;
    const PLENTY: usize = 120;
    let term = Term::stdout();
    if term.is_term() { usize::from(term.size().1).max(LEAST) } else { PLENTY }
}

/// Sets the columns `columns` of `table` flush right.
pub(crate) fn right(table: &mut Table, columns: &[usize]) {
    for &column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Rows of a name and a value.
pub(crate) fn pairs<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| {
        let indented = value.replace('\n', &format!("\n{:1$}", "", width + 2));
        format!("{}  {indented}", dim().apply_to(format!("{name:width$}")))
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A probability in percent, two digits of it.
pub(crate) fn percent(p: f64) -> String {
    match 100.0 * p {
        p if p > 0.0 && p < 0.01 => "<0.01%".to_owned(),
        p if p < 0.995 => format!("{p:.2}%"),
        p if p < 9.95 => format!("{p:.1}%"),
        p if p > 99.0 && p < 100.0 => format!("{p:.1}%"),
        p => format!("{p:.0}%"),
    }
}

/// A number of bytes.
pub(crate) fn bytes(n: u64) -> String {
    indicatif::HumanBytes(n).to_string()
}

/// A whole number with separators.
pub(crate) fn count(n: usize) -> String {
    indicatif::HumanCount(n as u64).to_string()
}

/// `n` things: `1 fact`, `2 facts`.
pub(crate) fn plural(n: usize, thing: &str) -> String {
    format!("{} {thing}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A text on one line, with its breaks visible, and not longer than `most` characters.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let line: String = text.trim().chars().flat_map(visible).collect();
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

/// The end of a text, not longer than `most` characters.
pub(crate) fn last_of(text: &str, most: usize) -> String {
    let n = text.chars().count();
    if n <= most {
        return text.to_owned();
    }
    let end: String = text.chars().skip(n + 1 - most.max(1)).collect();
    format!("…{}", end.trim_start())
}

/// A text on one line, with its breaks visible.
pub(crate) fn short(text: &str) -> String {
    one_line(text, usize::MAX)
}

fn visible(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = escaped.is_none().then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

/// For what is less important.
pub(crate) fn dim() -> Style {
    Style::new().dim()
}

/// For headlines.
pub(crate) fn bold() -> Style {
    Style::new().bold()
}

/// For what is as it should be.
pub(crate) fn good() -> Style {
    Style::new().green()
}

/// For what is not.
pub(crate) fn bad() -> Style {
    Style::new().red().bold()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_keep_what_matters() {
        for (p, text) in [
            (0.0, "0.00%"),
            (1e-9, "<0.01%"),
            (0.005, "0.50%"),
            (0.876, "88%"),
            (0.998, "99.8%"),
            (1.0, "100%"),
        ] {
            assert_eq!(percent(p), text);
        }
    }

    #[test]
    fn a_line_is_one_and_short() {
        assert_eq!(one_line(" a\nb\t", 9), "a\\nb");
        assert_eq!(one_line("abc def", 4), "abc…");
        assert_eq!(one_line("日本語", 2), "日本…");
        assert_eq!(last_of("the end", 4), "…end");
        assert_eq!(last_of("end", 3), "end");
    }
}
