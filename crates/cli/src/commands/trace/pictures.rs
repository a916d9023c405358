//! What was found, as files of pictures.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use retcon::draw::png;
use retcon::model::atomic;
use retcon::trace::{average_map, map, neuron_map};

use super::Found;
use crate::job::{self, Out};

/// Draws everything, and gives the files' paths.
pub(super) fn write(job: &job::Trace, found: &Found, out: &Out) -> Result<Vec<PathBuf>> {
    let pictures = draw(job, found)?;
    let mut files = Vec::new();
    for (name, svg) in &pictures {
        match out {
            Out::Svg(path) => files.push(save(path, svg.as_bytes())?),
            Out::Png(path) => files.push(save(path, &png(svg)?)?),
            Out::Folder(folder) => {
                fs::create_dir_all(folder)
                    .with_context(|| format!("cannot make {}", folder.display()))?;
                let path = |end: &str| folder.join(format!("{name}.{end}"));
                files.push(save(&path("svg"), svg.as_bytes())?);
                files.push(save(&path("png"), &png(svg)?)?);
            }
        }
    }
    Ok(files)
}

fn save(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    atomic::write(path, |file| file.write_all(bytes))?;
    Ok(path.to_owned())
}

/// Each picture's name and SVG.
fn draw(job: &job::Trace, found: &Found) -> Result<Vec<(String, String)>> {
    let mut pictures = Vec::new();
    let number = |i: usize, n: usize| if n > 1 { format!("{}-", i + 1) } else { String::new() };
    for (i, trace) in found.traces.iter().enumerate() {
        for of_kind in &trace.maps {
            let name = format!("{}{}", number(i, found.traces.len()), of_kind.kind);
            pictures.push((name, map(trace, of_kind, job.window)?));
        }
    }
    for average in &found.averages {
        let name = format!("average-{}", average.kind);
        pictures.push((name, average_map(average, job.window)?));
    }
    for (i, bag) in found.bags.iter().enumerate() {
        let name = format!("{}neurons", number(i, found.bags.len()));
        pictures.push((name, neuron_map(&bag.prompts)?));
    }
    Ok(pictures)
}
