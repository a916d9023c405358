//! Heat maps: a number for each row and column, darker where higher.

use plotters::element::{Rectangle, Text};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{FONT, failed};
use crate::error::Result;

/// A number for each row and column.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap<'a> {
    /// What it shows.
    pub title: &'a str,
    /// What the numbers are.
    pub subtitle: &'a str,
    /// The names of the rows.
    pub rows: Vec<String>,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// Row by row; a cell without a number stays blank.
    pub values: Vec<Vec<Option<f64>>>,
    /// The number of the lightest color, and that of the darkest.
    pub range: (f64, f64),
}

const CELL: (i32, i32) = (104, 34);
const LEFT: i32 = 90;
const TOP: i32 = 92;

impl HeatMap<'_> {
    /// The picture, with the numbers in percent in their cells.
    ///
    /// # Errors
    /// [`crate::Error::NoPicture`].
    pub fn svg(&self) -> Result<String> {
        /// Below it titles don't fit.
        const NARROWEST: i32 = 360;
        let width = (LEFT + CELL.0 * self.columns.len() as i32 + 16).max(NARROWEST);
        let height = TOP + CELL.1 * self.rows.len() as i32 + 16;
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, (width as u32, height as u32));
            let root = root.into_drawing_area();
            root.fill(&WHITE).map_err(failed)?;
            for (text, y, size) in [(self.title, 8, 16), (self.subtitle, 32, 13)] {
                let text = Text::new(text.to_owned(), (8, y), (FONT, size).into_font());
                root.draw(&text).map_err(failed)?;
            }
            for (i, column) in self.columns.iter().enumerate() {
                let at = (LEFT + CELL.0 * i as i32 + CELL.0 / 2, TOP - 14);
                root.draw(&centered(column, at, &BLACK)).map_err(failed)?;
            }
            for (i, row) in self.rows.iter().enumerate() {
                let at = (LEFT / 2, TOP + CELL.1 * i as i32 + CELL.1 / 2);
                root.draw(&centered(row, at, &BLACK)).map_err(failed)?;
            }
            for (row, column, value) in self.cells() {
                let (x, y) = (LEFT + CELL.0 * column, TOP + CELL.1 * row);
                let ends = [(x, y), (x + CELL.0 - 2, y + CELL.1 - 2)];
                let depth = self.depth(value);
                root.draw(&Rectangle::new(ends, shade(depth).filled())).map_err(failed)?;
                let ink = if depth > 0.5 { &WHITE } else { &BLACK };
                let at = (x + CELL.0 / 2, y + CELL.1 / 2);
                let label = format!("{:.1}", 100.0 * value);
                root.draw(&centered(&label, at, ink)).map_err(failed)?;
            }
            root.present().map_err(failed)?;
        }
        Ok(svg)
    }

    /// Every cell that has a number, with its row and column.
    fn cells(&self) -> impl Iterator<Item = (i32, i32, f64)> + '_ {
        self.values.iter().enumerate().flat_map(|(row, values)| {
            let number = move |(column, value): (usize, &Option<f64>)| {
                value.map(|value| (row as i32, column as i32, value))
            };
            values.iter().enumerate().filter_map(number)
        })
    }

    /// Where in the range a number lies, from 0 to 1.
    fn depth(&self, value: f64) -> f64 {
        let (light, dark) = self.range;
        if dark > light { ((value - light) / (dark - light)).clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// The color of a depth from 0 to 1.
fn shade(depth: f64) -> RGBColor {
    let mix = |light: u8, dark: u8| {
        (f64::from(light) + (f64::from(dark) - f64::from(light)) * depth).round() as u8
    };
    RGBColor(mix(247, 8), mix(251, 81), mix(255, 156))
}

fn centered<'a>(text: &str, at: (i32, i32), color: &'a RGBColor) -> Text<'a, (i32, i32), String> {
    let style = TextStyle::from((FONT, 13).into_font());
    let style = style.color(color).pos(Pos::new(HPos::Center, VPos::Center));
    Text::new(text.to_owned(), at, style)
}
