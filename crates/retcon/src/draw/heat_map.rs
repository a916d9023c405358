//! Heat maps: a number for each row and column, darker where higher.

use plotters::element::{Rectangle, Text};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{FONT, failed, text_width, with_axes};
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
    /// The color.
    pub hue: Hue,
    /// Names of the axes, and small cells; without them the cells are wide and have their numbers.
    pub axes: Option<Axes<'a>>,
}

/// What stands beside small cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axes<'a> {
    /// What the rows are.
    pub rows: &'a str,
    /// What the columns are.
    pub columns: &'a str,
    /// What the colors are.
    pub values: &'a str,
}

/// A color, from light to dark. The shades are ColorBrewer's, which keep their order in gray.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hue {
    /// Blue.
    Blue,
    /// Purple.
    Purple,
    /// Green.
    Green,
    /// Red.
    Red,
}

/// With a number in it, at least.
const CELL: (i32, i32) = (104, 34);
const MARGIN: i32 = 16;
const TOP: i32 = 92;

impl HeatMap<'_> {
    /// The picture.
    ///
    /// # Errors
    /// [`crate::Error::NoPicture`].
    pub fn svg(&self) -> Result<String> {
        match &self.axes {
            Some(axes) => with_axes::svg(self, axes),
            None => self.with_numbers(),
        }
    }

    /// With the numbers, in percent, in their cells.
    fn with_numbers(&self) -> Result<String> {
        let widest = |names: &[String]| names.iter().map(|name| text_width(name, 13)).max();
        let left = widest(&self.rows).unwrap_or(0) + 2 * MARGIN;
        let cell = (CELL.0.max(widest(&self.columns).unwrap_or(0) + MARGIN), CELL.1);
        let titles = text_width(self.title, 16).max(text_width(self.subtitle, 13)) + MARGIN;
        let width = (left + cell.0 * self.columns.len() as i32).max(titles) + MARGIN;
        let height = TOP + cell.1 * self.rows.len() as i32 + MARGIN;
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, (width as u32, height as u32));
            let root = root.into_drawing_area();
            root.fill(&WHITE).map_err(failed)?;
            for (text, y, size) in [(self.title, 8, 16), (self.subtitle, 32, 13)] {
                let text = Text::new(text.to_owned(), (MARGIN, y), (FONT, size).into_font());
                root.draw(&text).map_err(failed)?;
            }
            for (i, column) in self.columns.iter().enumerate() {
                let at = (left + cell.0 * i as i32 + cell.0 / 2, TOP - 14);
                root.draw(&label(column, at, HPos::Center, &BLACK)).map_err(failed)?;
            }
            for (i, row) in self.rows.iter().enumerate() {
                let at = (left - MARGIN, TOP + cell.1 * i as i32 + cell.1 / 2);
                root.draw(&label(row, at, HPos::Right, &BLACK)).map_err(failed)?;
            }
            for (row, column, value) in self.cells() {
                let (x, y) = (left + cell.0 * column, TOP + cell.1 * row);
                let ends = [(x, y), (x + cell.0 - 2, y + cell.1 - 2)];
                let depth = self.depth(value);
                root.draw(&Rectangle::new(ends, self.hue.shade(depth).filled())).map_err(failed)?;
                let ink = if depth > 0.5 { &WHITE } else { &BLACK };
                let at = (x + cell.0 / 2, y + cell.1 / 2);
                let text = format!("{:.1}", 100.0 * value);
                root.draw(&label(&text, at, HPos::Center, ink)).map_err(failed)?;
            }
            root.present().map_err(failed)?;
        }
        Ok(svg)
    }

    /// Every cell that has a number, with its row and column.
    pub(super) fn cells(&self) -> impl Iterator<Item = (i32, i32, f64)> + '_ {
        self.values.iter().enumerate().flat_map(|(row, values)| {
            let number = move |(column, value): (usize, &Option<f64>)| {
                value.map(|value| (row as i32, column as i32, value))
            };
            values.iter().enumerate().filter_map(number)
        })
    }

    /// Where in the range a number lies, from 0 to 1.
    pub(super) fn depth(&self, value: f64) -> f64 {
        let (light, dark) = self.range;
        if dark > light { ((value - light) / (dark - light)).clamp(0.0, 1.0) } else { 0.0 }
    }
}

impl Hue {
    /// The color of a depth from 0 to 1.
    pub(super) fn shade(self, depth: f64) -> RGBColor {
        let [light, middle, dark] = match self {
            Self::Blue => [(247, 251, 255), (128, 166, 206), (8, 81, 156)],
            Self::Purple => [(252, 251, 253), (158, 154, 200), (74, 20, 134)],
            Self::Green => [(247, 252, 245), (116, 196, 118), (0, 82, 40)],
            Self::Red => [(255, 245, 240), (251, 106, 74), (130, 0, 15)],
        };
        let (from, to, share) = if depth < 0.5 {
            (light, middle, 2.0 * depth)
        } else {
            (middle, dark, 2.0 * depth - 1.0)
        };
        let mix =
            |from: i32, to: i32| (f64::from(from) + f64::from(to - from) * share).round() as u8;
        RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
    }
}

/// A short text of the usual size, centered vertically at `at`.
pub(super) fn label<'a>(
    text: &str,
    at: (i32, i32),
    side: HPos,
    color: &'a RGBColor,
) -> Text<'a, (i32, i32), String> {
    let style = TextStyle::from((FONT, 13).into_font());
    Text::new(text.to_owned(), at, style.color(color).pos(Pos::new(side, VPos::Center)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(axes: Option<Axes<'_>>) -> HeatMap<'_> {
        HeatMap {
            title: "T <1>",
            subtitle: "S",
            rows: vec!["<s>".to_owned(), "b".to_owned()],
            columns: vec!["x".to_owned(), "y".to_owned()],
            values: vec![vec![Some(0.5), None], vec![Some(0.125), Some(2.0)]],
            range: (0.0, 1.0),
            hue: Hue::Purple,
            axes,
        }
    }

    #[test]
    fn every_number_has_a_cell_and_every_name_is_escaped() {
        let axes = Axes { rows: "token", columns: "block", values: "p" };
        for (axes, n_other) in [(None, 1), (Some(axes), 0)] {
            let svg = map(axes).svg().unwrap();
            assert!(svg.contains("T &lt;1&gt;") && svg.contains("&lt;s&gt;"), "{svg}");
            let of_shade = |depth| {
                let RGBColor(r, g, b) = Hue::Purple.shade(depth);
                svg.matches(&format!("#{r:02X}{g:02X}{b:02X}")).count()
            };
            assert!(of_shade(0.5) >= 1 && of_shade(0.125) >= 1 && of_shade(1.0) >= 1, "{svg}");
            assert_eq!(svg.matches("12.5").count(), n_other, "{svg}");
            crate::draw::png(&svg).unwrap();
        }
    }

    #[test]
    fn long_names_are_not_cut_off() {
        let long = "a name that is longer than that of any block or component".to_owned();
        let axes = Axes { rows: "token", columns: "block", values: "p" };
        for axes in [None, Some(axes)] {
            let [of_rows, of_columns, of_title] = [(); 3].map(|()| map(axes));
            let rows = HeatMap { rows: vec![long.clone(), "b".to_owned()], ..of_rows };
            let columns = HeatMap { columns: vec![long.clone(), "y".to_owned()], ..of_columns };
            let title = HeatMap { title: &long, ..of_title };
            let mut all = vec![rows, title];
            // Narrow cells leave out names that would touch.
            all.extend(axes.is_none().then_some(columns));
            for map in all {
                let cut = crate::draw::tests::cut_off(&map.svg().unwrap());
                assert!(cut.is_empty(), "{cut:?}");
            }
        }
    }

    #[test]
    fn a_range_of_nothing_is_light() {
        let map = HeatMap { range: (1.0, 1.0), ..map(None) };
        assert_eq!(map.depth(1.0), 0.0);
        assert_eq!(Hue::Red.shade(0.0), RGBColor(255, 245, 240));
    }
}
