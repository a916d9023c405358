//! One page that holds all of a result: the table, the pictures, and each line by relation and weight.

use super::plan::Plan;
use super::report::{columns, name_of, notes};
use super::summary::{Line, Summary};
use crate::html::escape;

/// One page that needs no other file.
pub(super) fn page(plan: &Plan, summary: &Summary, pictures: &[(String, String)]) -> String {
    let mut rows = String::new();
    for (i, line) in summary.lines.iter().enumerate() {
        let columns = columns(line);
        if i == 0 {
            let names: Vec<String> =
                columns.iter().map(|(name, _)| format!("<th>{}</th>", escape(name))).collect();
            rows += &format!("<tr><th>|M|</th><th>method</th>{}</tr>\n", names.concat());
        }
        let values: Vec<String> =
            columns.iter().map(|(_, value)| format!("<td>{}</td>", escape(value))).collect();
        let name = escape(&name_of(line, summary));
        let size = line.cell.size;
        rows += &format!("<tr><td>{size}</td><th scope=row>{name}</th>{}</tr>\n", values.concat());
    }
    let figures: Vec<String> = pictures.iter().map(|(name, svg)| figure(name, svg)).collect();
    let details: Vec<String> =
        summary.lines.iter().map(|line| details(line, &name_of(line, summary))).collect();
    format!(
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}</title>\n<style>{STYLE}</style>\n<h1>{name}</h1>\n<p>{about}</p>\n\
         <div class=wide><table>\n{rows}</table></div>\n<p>{notes}</p>\n{figures}\
         <h2>By relation and by weight</h2>\n\
         <p>After the last step, each seed under its best bound.</p>\n{details}</html>\n",
        name = escape(&plan.name),
        about = escape(&plan.about),
        notes = escape(&notes(plan)),
        figures = figures.concat(),
        details = details.concat(),
    )
}

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.875rem; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid #8886; text-align: right; white-space: nowrap; }
th[scope=row] { text-align: left; font-weight: 500; }
details { margin: 0.4rem 0; }
summary { cursor: pointer; }
.pair { display: flex; flex-wrap: wrap; gap: 2rem; align-items: flex-start; }
figure { margin: 1.5rem 0; overflow-x: auto; }
figure svg { background: #fff; border-radius: 6px; }
";

/// What a line comes to by relation, and how far its weights have moved; shown where asked for.
fn details(line: &Line, name: &str) -> String {
    let share = |said: usize, n: usize| match n {
        0 => "-".to_owned(),
        _ => format!("{:.1}", 100.0 * said as f64 / n as f64),
    };
    let relation = |(name, [modified, n_modified, kept, n_kept]): (&String, &[usize; 4])| {
        format!(
            "<tr><th scope=row>{}</th><td>{n_modified}</td><td>{}</td><td>{n_kept}</td><td>{}</td></tr>\n",
            escape(name),
            share(*modified, *n_modified),
            share(*kept, *n_kept),
        )
    };
    let weight = |(name, (norm, most)): (&String, &(f64, f64))| {
        format!("<tr><th scope=row>{name}</th><td>{norm:.4}</td><td>{most:.5}</td></tr>\n")
    };
    format!(
        "<details><summary>{} facts: {}</summary>\n<div class=pair>\
         <table>\n<tr><th>relation</th><th>modified</th><th>A_M</th><th>others</th>\
         <th>A_F\\S</th></tr>\n{}</table>\n<table>\n<tr><th>weight</th>\
         <th>distance</th><th>largest change</th></tr>\n{}</table></div></details>\n",
        line.cell.size,
        escape(name),
        line.by_relation.iter().map(relation).collect::<String>(),
        line.moved.iter().map(weight).collect::<String>(),
    )
}

fn figure(name: &str, svg: &str) -> String {
    let svg = svg.split_once("<svg").map_or(svg, |(_, rest)| rest);
    format!("<figure role=img aria-label=\"{}\"><svg{svg}</figure>\n", escape(name))
}
