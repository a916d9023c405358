//! Heat maps of many small cells: axes with names, and what the colors mean beside them.

use plotters::coord::Shift;
use plotters::element::{PathElement, Rectangle, Text};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::heat_map::{Axes, HeatMap, label};
use super::{FONT, failed, text_width};
use crate::error::Result;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const MARGIN: i32 = 18;
/// At least, and at most.
const LEGEND_HEIGHT: (i32, i32) = (72, 240);
/// The names of the axes, in the same gray as the ticks.
const GRAY: RGBColor = RGBColor(90, 90, 90);
/// Around the cells.
const FRAME: RGBColor = RGBColor(190, 190, 190);

/// Where everything stands.
struct Layout {
    width: i32,
    height: i32,
    left: i32,
    top: i32,
    cell: (i32, i32),
    /// The cells' right and lower ends.
    right: i32,
    bottom: i32,
}

impl Layout {
    fn new(map: &HeatMap<'_>, axes: &Axes<'_>) -> Self {
        const TITLES: i32 = 62;
        const NAME: i32 = 22;
        const LEGEND: i32 = 92;
        const TICKS: i32 = 48;
        /// Wider or narrower cells are hard to read.
        const WIDTHS: (i32, i32) = (11, 44);
        /// What the cells take together where they can.
        const TOGETHER: i32 = 620;
        let n_columns = map.columns.len().max(1) as i32;
        let cell = ((TOGETHER / n_columns).clamp(WIDTHS.0, WIDTHS.1), 24);
        let names = map.rows.iter().map(|row| text_width(row, 13)).max().unwrap_or(0);
        let left = MARGIN + NAME + names + 10;
        let top = MARGIN + TITLES;
        let (right, bottom) = (left + cell.0 * n_columns, top + cell.1 * map.rows.len() as i32);
        let titles = text_width(map.title, 17).max(text_width(map.subtitle, 13)) + 2 * MARGIN;
        let legend = LEGEND.max(text_width(axes.values, 13) + 40);
        // Of few rows the legend, and the name of the axis, are the higher.
        let least = top + text_width(axes.rows, 13).max(LEGEND_HEIGHT.0) + MARGIN;
        Self {
            width: (right + legend + MARGIN).max(titles),
            height: (bottom + TICKS + MARGIN / 2).max(least),
            left,
            top,
            cell,
            right,
            bottom,
        }
    }
}

/// The picture.
pub(super) fn svg(map: &HeatMap<'_>, axes: &Axes<'_>) -> Result<String> {
    let layout = Layout::new(map, axes);
    let mut svg = String::new();
    {
        let size = (layout.width as u32, layout.height as u32);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        for (text, y, size, color) in
            [(map.title, MARGIN - 4, 17, &BLACK), (map.subtitle, MARGIN + 20, 13, &GRAY)]
        {
            let style = TextStyle::from((FONT, size).into_font()).color(color);
            root.draw(&Text::new(text.to_owned(), (MARGIN, y), style)).map_err(failed)?;
        }
        cells(&root, map, &layout)?;
        rows(&root, map, axes, &layout)?;
        columns(&root, map, axes, &layout)?;
        legend(&root, map, axes, &layout)?;
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

fn cells(root: &Area<'_>, map: &HeatMap<'_>, layout: &Layout) -> Result<()> {
    let Layout { left, top, cell, right, bottom, .. } = *layout;
    for (row, column, value) in map.cells() {
        let (x, y) = (left + cell.0 * column, top + cell.1 * row);
        let ends = [(x, y), (x + cell.0 - 1, y + cell.1 - 1)];
        let color = map.hue.shade(map.depth(value));
        root.draw(&Rectangle::new(ends, color.filled())).map_err(failed)?;
    }
    let frame = Rectangle::new([(left - 1, top - 1), (right, bottom)], FRAME.stroke_width(1));
    root.draw(&frame).map_err(failed)
}

fn rows(root: &Area<'_>, map: &HeatMap<'_>, axes: &Axes<'_>, layout: &Layout) -> Result<()> {
    let Layout { left, top, cell, bottom, .. } = *layout;
    for (i, row) in map.rows.iter().enumerate() {
        let at = (left - 9, top + cell.1 * i as i32 + cell.1 / 2);
        root.draw(&label(row, at, HPos::Right, &BLACK)).map_err(failed)?;
    }
    let style = TextStyle::from((FONT, 13).into_font().transform(FontTransform::Rotate270));
    let style = style.color(&GRAY).pos(Pos::new(HPos::Center, VPos::Center));
    let at = (MARGIN + 2, (top + bottom) / 2);
    root.draw(&Text::new(axes.rows.to_owned(), at, style)).map_err(failed)
}

fn columns(root: &Area<'_>, map: &HeatMap<'_>, axes: &Axes<'_>, layout: &Layout) -> Result<()> {
    let Layout { left, cell, right, bottom, .. } = *layout;
    // So many that their names don't touch.
    let widest = map.columns.iter().map(|name| text_width(name, 13)).max().unwrap_or(0) + 8;
    let every = [1, 2, 5, 10, 20].into_iter().find(|n| n * cell.0 >= widest).unwrap_or(50);
    for (i, column) in map.columns.iter().enumerate().step_by(every as usize) {
        let x = left + cell.0 * i as i32 + cell.0 / 2;
        let tick = PathElement::new([(x, bottom + 1), (x, bottom + 5)], FRAME.stroke_width(1));
        root.draw(&tick).map_err(failed)?;
        root.draw(&label(column, (x, bottom + 14), HPos::Center, &BLACK)).map_err(failed)?;
    }
    let at = ((left + right) / 2, bottom + 36);
    root.draw(&label(axes.columns, at, HPos::Center, &GRAY)).map_err(failed)
}

fn legend(root: &Area<'_>, map: &HeatMap<'_>, axes: &Axes<'_>, layout: &Layout) -> Result<()> {
    const WIDTH: i32 = 14;
    const STEPS: i32 = 64;
    let (x, top) = (layout.right + 22, layout.top);
    let height = (layout.bottom - top).clamp(LEGEND_HEIGHT.0, LEGEND_HEIGHT.1);
    for step in 0..STEPS {
        let [from, to] = [step, step + 1].map(|step| top + height * step / STEPS);
        let depth = 1.0 - (f64::from(step) + 0.5) / f64::from(STEPS);
        let color = map.hue.shade(depth).filled();
        root.draw(&Rectangle::new([(x, from), (x + WIDTH, to)], color)).map_err(failed)?;
    }
    let ends = [(x, top - 1), (x + WIDTH, top + height)];
    root.draw(&Rectangle::new(ends, FRAME.stroke_width(1))).map_err(failed)?;
    let (light, dark) = map.range;
    for share in [0.0, 0.5, 1.0] {
        let y = top + (f64::from(height) * (1.0 - share)).round() as i32;
        let text = percent(light + (dark - light) * share, dark - light);
        let tick = PathElement::new([(x + WIDTH, y), (x + WIDTH + 4, y)], FRAME.stroke_width(1));
        root.draw(&tick).map_err(failed)?;
        let at = (x + WIDTH + 8, y);
        root.draw(&label(&text, at, HPos::Left, &BLACK)).map_err(failed)?;
    }
    let at = (x, top - 14);
    root.draw(&label(axes.values, at, HPos::Left, &GRAY)).map_err(failed)
}

/// A number in percent, with as many digits as a range of `span` takes.
fn percent(value: f64, span: f64) -> String {
    let digits = match 100.0 * span {
        span if span >= 20.0 => 0,
        span if span >= 2.0 => 1,
        span if span >= 0.2 => 2,
        span if span >= 0.02 => 3,
        _ => return format!("{:.1e}", value),
    };
    format!("{:.digits$}%", 100.0 * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_the_digits_that_it_takes() {
        assert_eq!(percent(0.5, 1.0), "50%");
        assert_eq!(percent(0.125, 0.1), "12.5%");
        assert_eq!(percent(0.0012, 0.001), "0.120%");
        assert_eq!(percent(0.0, 1e-6), "0.0e0");
    }
}
