//! One HTML page that needs no other file and no network: results as JSON, and a script that shows them.

#[cfg(test)]
mod contrast;
mod data;
mod plain;

use self::data::Data;
use self::plain::plain;
use super::markdown::title;
use crate::results::Results;
use retcon::html::escape;

const INDEX: &str = include_str!("page/index.html");

const STYLE: &str = concat!(
    include_str!("page/style/theme.css"),
    include_str!("page/style/layout.css"),
    include_str!("page/style/tables.css"),
    include_str!("page/style/charts.css"),
    include_str!("page/style/cases.css"),
    include_str!("page/style/print.css"),
);

/// One scope: each file after those that it uses.
const SCRIPT: &str = concat!(
    include_str!("page/script/data.js"),
    include_str!("page/script/dom.js"),
    include_str!("page/script/view.js"),
    include_str!("page/script/tip.js"),
    include_str!("page/script/header.js"),
    include_str!("page/script/leaderboard.js"),
    include_str!("page/script/chart.js"),
    include_str!("page/script/labels.js"),
    include_str!("page/script/scatter.js"),
    include_str!("page/script/curves.js"),
    include_str!("page/script/groups.js"),
    include_str!("page/script/differences.js"),
    include_str!("page/script/verdicts.js"),
    include_str!("page/script/cases.js"),
    include_str!("page/script/answers.js"),
    include_str!("page/script/definitions.js"),
    include_str!("page/script/main.js"),
);

/// The page of `results`.
#[must_use]
pub fn page(results: &Results) -> String {
    let data = serde_json::to_string(&Data::new(results));
    let data = data.expect("names with plain values");
    fill(INDEX, |name| match name {
        "title" => escape(&title(&results.about)),
        "style" => STYLE.to_owned(),
        "script" => SCRIPT.to_owned(),
        "plain" => plain(results),
        "data" => within_script(&data),
        name => unreachable!("index.html asks for `{name}`"),
    })
}

/// JSON that no script tag ends in, and that opens none: `<` stands in its strings alone.
fn within_script(json: &str) -> String {
    json.replace('<', "\\u003c")
}

/// `text` with each `{{name}}` replaced by what `of` gives, which is not looked at again.
fn fill(text: &str, of: impl Fn(&str) -> String) -> String {
    let mut filled = String::new();
    let mut pieces = text.split("{{");
    filled += pieces.next().unwrap_or_default();
    for piece in pieces {
        match piece.split_once("}}") {
            Some((name, rest)) => {
                filled += &of(name);
                filled += rest;
            }
            None => filled += piece,
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::report::sample;

    /// The JSON within the page.
    fn embedded(page: &str) -> Value {
        let after = page.split("<script type=\"application/json\" id=\"data\">").nth(1).unwrap();
        serde_json::from_str(after.split("</script>").next().unwrap()).unwrap()
    }

    #[test]
    fn texts_of_cases_end_no_script_and_fill_no_gap() {
        let page = page(&sample::results());
        let data = embedded(&page);
        assert_eq!(data["cases"][1]["id"], sample::NASTY);
        assert!(data["strings"].as_array().unwrap().iter().any(|text| text == sample::NASTY));
        // That of the data, and that of the program.
        assert_eq!(page.matches("</script>").count(), 2);
        assert_eq!(page.matches(STYLE).count(), 1);
    }

    #[test]
    fn what_is_no_number_is_null() {
        let page = page(&sample::results());
        let data = embedded(&page);
        let drift = data["metrics"].as_array().unwrap().len() - 1;
        assert_eq!(data["rows"][1]["scores"][drift][2], Value::Null);
        assert!(!page.contains("NaN,") && !page.contains("Infinity,"));
    }

    #[test]
    fn a_page_asks_nothing_of_the_network() {
        let page = page(&sample::results());
        for other in ["http:", "https:", "@import", "url(", "src=", "fetch(", "import("] {
            let found = page.find(other).map(|at| &page[at..page.len().min(at + 60)]);
            // The namespace of SVG is a name that nobody asks for.
            let is_name =
                found.is_some_and(|found| found.starts_with("http://www.w3.org/2000/svg"));
            assert!(found.is_none() || is_name, "{found:?}");
        }
    }

    #[test]
    fn without_a_script_there_is_a_table() {
        let page = page(&sample::results());
        let plain = page.split("<noscript>").nth(1).unwrap().split("</noscript>").next().unwrap();
        assert!(plain.contains("<th scope=\"row\">memit</th>") && plain.contains("90.0–100.0"));
        assert!(!plain.contains("<script"));
    }

    #[test]
    fn an_empty_page_is_a_page() {
        let page = page(&sample::empty());
        assert_eq!(embedded(&page)["results"], Value::Array(vec![]));
        assert!(page.contains("<title>Benchmark</title>"));
    }
}
