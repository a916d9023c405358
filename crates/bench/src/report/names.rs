//! What rows are called: their method, and what tells them from other rows of the same method.

use serde_json::Value;

use crate::results::{Results, Row};

/// The name of each row, which is its own among the rows of its setting.
pub(super) fn labels(results: &Results) -> Vec<String> {
    let label = |(i, row): (usize, &Row)| {
        let alike: Vec<&Row> = results.rows.iter().filter(|other| is_alike(row, other)).collect();
        if alike.len() < 2 {
            return row.method.clone();
        }
        let told = differing(row, &alike);
        let twins = alike.iter().filter(|other| other.settings == row.settings).count();
        let told = match told.is_empty() || twins > 1 {
            // Nothing else tells them apart.
            true => [told, vec![format!("row {i}")]].concat(),
            false => told,
        };
        format!("{} ({})", row.method, told.join(", "))
    };
    results.rows.iter().enumerate().map(label).collect()
}

fn is_alike(row: &Row, other: &Row) -> bool {
    row.method == other.method && row.setting == other.setting
}

/// The settings of `row` that not all of `alike` have.
fn differing(row: &Row, alike: &[&Row]) -> Vec<String> {
    let differs =
        |key: &String| alike.iter().any(|other| other.settings.get(key) != row.settings.get(key));
    let mut keys: Vec<&String> = alike.iter().flat_map(|row| row.settings.keys()).collect();
    keys.sort();
    keys.dedup();
    let shown = |key: &String| match row.settings.get(key) {
        Some(Value::String(text)) => format!("{key} {text}"),
        Some(value) => format!("{key} {value}"),
        None => format!("no {key}"),
    };
    keys.into_iter().filter(|key| differs(key)).map(shown).collect()
}

/// The settings of edits, in the order of the rows.
pub(super) fn settings(results: &Results) -> Vec<&str> {
    let mut settings: Vec<&str> = Vec::new();
    for row in &results.rows {
        if !settings.contains(&row.setting.as_str()) {
            settings.push(&row.setting);
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::sample;
    use crate::results::UNEDITED;

    #[test]
    fn rows_of_a_method_are_told_apart_by_what_differs() {
        let mut results = sample::results();
        let mut twin = results.rows[1].clone();
        let settings = json!({"steps": 30, "rate": 0.1, "layers": "all"});
        twin.settings = settings.as_object().unwrap().clone();
        results.rows[1].settings = json!({"steps": 20, "rate": 0.1}).as_object().unwrap().clone();
        results.rows.push(twin);
        let labels = labels(&results);
        let method = &results.rows[1].method;
        assert_eq!(labels[1], format!("{method} (no layers, steps 20)"));
        assert_eq!(labels.last().unwrap(), &format!("{method} (layers all, steps 30)"));
        assert_eq!(labels[0], UNEDITED);
    }

    #[test]
    fn no_two_rows_of_a_setting_have_a_name() {
        let mut results = sample::results();
        results.rows.push(results.rows[1].clone());
        let mut labels = labels(&results);
        labels.sort();
        assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{labels:?}");
    }
}
