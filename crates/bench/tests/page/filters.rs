//! What people do on the page, and what they see then.

use std::path::PathBuf;

use retcon_bench::results::{About, Results};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::{invented, reports, written};

/// A browser of a size with the page of invented results; `None` where no driver is named.
fn opened(size: [u32; 2]) -> Option<(Browser, String)> {
    shown(size, || reports().to_owned())
}

/// A browser of a size with the page in a folder.
fn shown(size: [u32; 2], folder: impl FnOnce() -> PathBuf) -> Option<(Browser, String)> {
    #[expect(
        clippy::disallowed_methods,
        reason = "says where the driver is, as the tests' documentation has it"
    )]
    let driver = PathBuf::from(std::env::var_os("RETCON_CHROMEDRIVER")?);
    let url = format!("file://{}", folder().join("index.html").display());
    let browser = Browser::open(&driver, size);
    browser.go(&url);
    Some((browser, url))
}

/// The names of the methods of the first table, in order.
const ORDER: &str = "return [...document.querySelector('table.leaderboard').tBodies[0].rows]
    .map((row) => row.querySelector('.method-name').textContent).join(' ')";
const COUNT: &str = "return document.getElementById('case-count').textContent";

#[test]
fn a_leaderboard_is_sorted_by_a_press() {
    let Some((browser, url)) = opened([1280, 900]) else { return };
    assert_eq!(browser.text(ORDER), "unedited ft lora rome memit alphaedit ultraedit");
    let state = "return document.querySelector('[data-sort=\"neighbor.same.free\"]').closest('th').getAttribute('aria-sort')";
    assert_eq!(browser.text(state), "none");
    browser.click("[data-sort='neighbor.same.free']");
    assert_eq!(browser.text(state), "descending");
    let best_first = browser.text(ORDER);
    let mut names: Vec<&str> = best_first.split(' ').collect();
    assert_eq!((names[0], names[6]), ("unedited", "ft"), "{best_first}");
    browser.click("[data-sort='neighbor.same.free']");
    assert_eq!(browser.text(state), "ascending");
    names[1..].reverse();
    assert_eq!(browser.text(ORDER), names.join(" "));
    let focused = "return document.activeElement.dataset.sort";
    assert_eq!(browser.text(focused), "neighbor.same.free");

    let n_columns =
        "return document.querySelector('table.leaderboard').tBodies[0].rows[0].cells.length";
    let few = browser.run(n_columns).as_u64().unwrap();
    browser.click("#board-all");
    assert!(browser.run(n_columns).as_u64().unwrap() > few + 10);

    let address = browser.text("return location.hash");
    browser.go(&format!("{url}{address}"));
    assert_eq!(browser.text(ORDER), names.join(" "));
    assert_eq!(
        browser.run("return document.getElementById('board-all').checked"),
        Value::Bool(true)
    );
    assert_eq!(browser.errors(), Vec::<String>::new());
}

#[test]
fn cases_are_filtered_opened_and_found_again_by_their_address() {
    let Some((browser, url)) = opened([1280, 900]) else { return };
    assert_eq!(browser.text(COUNT).split(' ').next(), Some("2,144"));
    browser.choose("#case-method", "rome");
    browser.choose("#case-setting", "single");
    browser.choose("#case-verdict", "error");
    assert!(browser.text(COUNT).starts_with("6 of "), "{}", browser.text(COUNT));
    browser.choose("#case-verdict", "side effect");
    let summaries = "return [...document.querySelectorAll('.case > summary')].map((summary) => summary.textContent)";
    let shown = browser.run(summaries);
    let shown = shown.as_array().unwrap();
    assert!(!shown.is_empty());
    for summary in shown {
        let summary = summary.as_str().unwrap();
        let of = ["rome · single", "side effect"].iter().all(|part| summary.contains(part));
        assert!(of, "{summary}");
    }
    browser.write("#case-search", "Kestrel");
    browser.wait("return document.querySelectorAll('.case').length > 0 && [...document.querySelectorAll('.case > summary')].every((summary) => /maker-/.test(summary.textContent))");

    browser.click(".case > summary");
    browser.wait("return document.querySelector('.case').open && document.querySelectorAll('.case .question').length === 7");
    let body = "return document.querySelector('.case-body').textContent";
    let body_text = browser.text(body);
    assert!(body_text.contains("Before") && body_text.contains("NLL of the wanted"));
    assert!(body_text.contains("Kestrel"), "{body_text}");

    let (address, count) = (browser.text("return location.hash"), browser.text(COUNT));
    browser.go(&format!("{url}{address}"));
    assert_eq!(browser.text(COUNT), count);
    assert_eq!(browser.text(body), body_text);
    assert_eq!(browser.text("return document.getElementById('case-search').value"), "Kestrel");
    assert_eq!(
        browser.text("return document.getElementById('case-verdict').selectedOptions[0].text"),
        "side effect"
    );

    browser.click("#case-reset");
    assert_eq!(browser.text(COUNT).split(' ').next(), Some("2,144"));
    assert_eq!(browser.errors(), Vec::<String>::new());
}

#[test]
fn a_text_never_becomes_markup() {
    let Some((browser, _)) = opened([1280, 900]) else { return };
    browser.write("#case-search", "</script> & \"7\"");
    browser.wait("return [...document.querySelectorAll('.case > summary')].every((summary) => summary.textContent.includes('case </script> & \"7\"'))");
    assert_eq!(browser.errors(), Vec::<String>::new());
}

#[test]
fn little_is_shown_as_well_as_much() {
    let nothing = || {
        let (metrics, rows) = (Vec::new(), Vec::new());
        Results { about: About::default(), metrics, rows, cases: Vec::new(), results: Vec::new() }
    };
    let no_answers = || {
        let mut results = invented::results();
        results.results.truncate(3);
        results.results.iter_mut().for_each(|result| result.answers.clear());
        results.rows.truncate(2);
        for row in &mut results.rows {
            (row.by_group, row.curve, row.versus) = Default::default();
            row.scores.values_mut().for_each(|score| score.high = f64::NAN);
        }
        results
    };
    /// A name, results, and what the page says of them.
    type Few = (&'static str, fn() -> Results, &'static str);
    let few: [Few; 2] =
        [("empty", nothing, "None of 0 results"), ("few", no_answers, "None of 3 results")];
    for (name, results, count) in few {
        let Some((browser, _)) = shown([1280, 900], || written(name, &results())) else { return };
        assert!(browser.text(COUNT).starts_with(count), "{name}: {}", browser.text(COUNT));
        let told = browser.run("return document.querySelectorAll('.nothing').length");
        assert!(told.as_u64() >= Some(3), "{name}: {told}");
        assert!(!browser.text("return document.body.innerText").contains("NaN"), "{name}");
        assert_eq!(browser.errors(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_is_infinite_is_shown_and_drawn() {
    let destroyed = || {
        let mut results = invented::results();
        for row in results.rows.iter_mut().filter(|row| row.method == "lora") {
            let at_the_end = row.curve.last_mut().map(|point| &mut point.scores);
            for scores in [Some(&mut row.scores), at_the_end].into_iter().flatten() {
                let drift = scores.get_mut(invented::DRIFT).unwrap();
                (drift.mean, drift.high) = (f64::INFINITY, f64::INFINITY);
            }
        }
        results
    };
    let Some((browser, url)) = shown([1280, 900], || written("infinite", &destroyed())) else {
        return;
    };
    let cells = "return [...document.querySelectorAll('table.leaderboard tr')]
        .filter((row) => row.querySelector('.method-name')?.textContent === 'lora')
        .map((row) => [...row.querySelectorAll('.mean')].filter((mean) => mean.textContent === '∞').length)
        .join(' ')";
    assert_eq!(browser.text(cells), "1 1 1");
    browser.click(&format!("[data-sort='{}']", invented::DRIFT));
    assert!(browser.text(ORDER).ends_with(" lora"), "{}", browser.text(ORDER));
    browser.go(&format!("{url}#curves?curve.metric={0}&plot.x={0}", invented::DRIFT));
    let drawn = "return [...document.querySelectorAll('#curves title, #plot title')]
        .filter((title) => title.textContent.includes('∞'))
        .every((title) => !title.parentNode.outerHTML.includes('NaN') && !title.parentNode.outerHTML.includes('Infinity'))";
    assert_eq!(browser.run(drawn), Value::Bool(true));
    let n_drawn =
        "return ['#curves', '#plot'].map((part) => [...document.querySelectorAll(`${part} title`)]
        .filter((title) => title.textContent.includes('∞')).length).join(' ')";
    assert_eq!(browser.text(n_drawn), "1 1");
    assert_eq!(browser.errors(), Vec::<String>::new());
}

#[test]
fn a_point_leads_to_its_row_and_keys_reach_definitions() {
    let Some((browser, _)) = opened([1280, 900]) else { return };
    let n_points = "return document.querySelectorAll('#plot .point').length";
    assert_eq!(browser.run(n_points), json!(7));
    let of_labels = "const boxes = [...document.querySelectorAll('#plot .point-label')].map((label) => label.getBBox());
        return boxes.some((a, i) => boxes.some((b, j) => i < j && a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height))";
    assert_eq!(browser.run(of_labels), Value::Bool(false), "labels lie over each other");
    browser.run("document.querySelector('#plot .point').focus()");
    browser.run("document.activeElement.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}))");
    assert!(browser.text("return document.activeElement.id").starts_with("row-"));

    browser.run("document.querySelector('[data-sort=\"method\"]').focus()");
    browser.write("[data-sort='method']", "\u{e004}");
    browser.wait("return document.activeElement.dataset.sort === 'rewrite.prefer' && !document.getElementById('tip').hidden");
    assert!(
        browser
            .text("return document.getElementById('tip').textContent")
            .contains("efficacy score")
    );
    browser.write("[data-sort='rewrite.prefer']", "\u{e00c}");
    browser.wait("return document.getElementById('tip').hidden");
    assert_eq!(browser.errors(), Vec::<String>::new());
}

#[test]
fn nothing_is_wider_than_a_phone() {
    for width in [390, 360] {
        let Some((browser, _)) = opened([width, 800]) else { return };
        assert_eq!(browser.run("return innerWidth"), json!(width));
        browser.click("#board-all");
        browser.click(".case > summary");
        browser.wait("return document.querySelectorAll('.case .question').length > 0");
        let wide = "return document.documentElement.scrollWidth <= innerWidth ? '' : [...document.querySelectorAll('body *')]
            .filter((node) => node.getBoundingClientRect().right > innerWidth + 1 && !node.closest('.scroll, #sections'))
            .map((node) => `${node.tagName}.${node.className}`).join(' ')";
        assert_eq!(browser.text(wide), "");
        let first = "const frame = document.querySelector('.scroll'); frame.scrollLeft = 300;
            return Math.round(frame.querySelector('th.method').getBoundingClientRect().left - frame.getBoundingClientRect().left)";
        assert!(browser.run(first).as_i64().unwrap() <= 1, "the first column scrolls away");
        assert_eq!(browser.errors(), Vec::<String>::new());
    }
}
