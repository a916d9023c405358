//! Pictures of a summary, as SVG: trade-off curves, and a heat map of blocks and components.

use plotters::element::{Circle, DashedPathElement, Text};
use plotters::prelude::*;

use super::summary::{Line, stairs};
use crate::draw::{FONT, HeatMap, Hue, failed, text_width};
use crate::error::Result;
use crate::interval::mean_and_interval;

/// Okabe and Ito's colors, which people with any color vision can tell apart.
const COLORS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
    RGBColor(150, 140, 20),
];

/// The trade-off of each line, drawn as its frontier over all its points, and the names beside.
pub(super) fn trade_off(title: &str, lines: &[(String, &Line)]) -> Result<String> {
    const CHART: i32 = 700;
    const ROW: i32 = 20;
    /// From the left end of a line's sample to its name.
    const NAME: i32 = 32;
    let names = lines.iter().map(|(label, _)| text_width(label, 13)).max().unwrap_or(0);
    let width = CHART + NAME + names + 12;
    let height = (40 + ROW * lines.len() as i32).max(520);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (width as u32, height as u32));
        let root = root.into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        let (left, right) = root.split_horizontally(CHART);
        let mut chart = ChartBuilder::on(&left)
            .caption(title, (FONT, 18))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..1.0, 0.0..1.02)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("other facts still said, A_F\\S")
            .y_desc("modified facts said anew, A_M")
            .label_style((FONT, 13))
            .draw()
            .map_err(failed)?;
        for (i, (label, line)) in lines.iter().enumerate() {
            let color = COLORS[i % COLORS.len()];
            let points = line.points.iter().map(|&at| Circle::new(at, 2, color.mix(0.25).filled()));
            chart.draw_series(points).map_err(failed)?;
            let stairs = stairs(&line.points);
            let corners = stairs.iter().map(|&(x, _, y)| Circle::new((x, y), 4, color.filled()));
            chart.draw_series(corners).map_err(failed)?;
            let curve = stairs.iter().flat_map(|&(right, left, y)| [(right, y), (left, y)]);
            let y = 40 + ROW * i as i32;
            // Colors come again: the second time with gaps in the line, then with wider ones.
            let gap = 4 * (i / COLORS.len()) as i32;
            let style = color.stroke_width(2);
            chart.draw_series(DashedLineSeries::new(curve, 8, gap, style)).map_err(failed)?;
            let sample = DashedPathElement::new([(0, y), (24, y)], 8, gap, style);
            right.draw(&sample).map_err(failed)?;
            let text = Text::new(label.as_str(), (NAME, y - 7), (FONT, 13).into_font());
            right.draw(&text).map_err(failed)?;
        }
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

/// The mean accuracy of each block (a row) and component (a column), darker where higher.
pub(super) fn heat_map(title: &str, lines: &[&Line]) -> Result<String> {
    let mut blocks: Vec<&str> = Vec::new();
    let mut components: Vec<&str> = Vec::new();
    // What lies outside of the blocks comes with the first of them, but is a row of its own, or of
    // all blocks, whose place is where the plan has it.
    let (outside, inside): (Vec<&Line>, Vec<&Line>) =
        lines.iter().partition(|line| line.cell.component.is_outside());
    for line in inside.iter().chain(&outside) {
        if !blocks.contains(&line.cell.blocks.as_str()) {
            blocks.push(&line.cell.blocks);
        }
    }
    for line in lines {
        let component = line.cell.component.name();
        if !components.contains(&component) {
            components.push(component);
        }
    }
    let mut values = vec![vec![None; components.len()]; blocks.len()];
    for line in lines {
        let row = blocks.iter().position(|block| *block == line.cell.blocks);
        let column = components.iter().position(|name| *name == line.cell.component.name());
        let means: Vec<f64> = line.best.iter().map(|(point, _)| point.mean()).collect();
        values[row.unwrap_or(0)][column.unwrap_or(0)] = Some(mean_and_interval(&means).0);
    }
    let map = HeatMap {
        title,
        subtitle: "the mean of A_M and A_F\\S",
        rows: blocks.into_iter().map(super::report::blocks).collect(),
        columns: components.into_iter().map(str::to_owned).collect(),
        values,
        range: (0.0, 1.0),
        hue: Hue::Blue,
        axes: None,
    };
    map.svg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::tests::cut_off;
    use crate::edit::scope::Target;
    use crate::experiment::{Cell, Data, Point, Record, Start, Summary};

    fn lines(cells: &[(&str, Target)]) -> Summary {
        let record = |(blocks, component): &(&str, Target)| {
            let point =
                Point { step: 1, modified: 0.5, reworded: 0.5, kept: 0.5, kept_reworded: 0.5 };
            let whole = Cell::whole(0, Start::Pretrained, 4, Data::Ftm);
            Record {
                cell: Cell { blocks: (*blocks).to_owned(), component: *component, ..whole },
                points: vec![point],
                n: [4, 4],
                by_relation: vec![],
                moved: vec![],
                seconds: 1.0,
            }
        };
        Summary::new(&cells.iter().map(record).collect::<Vec<_>>())
    }

    #[test]
    fn long_names_are_not_cut_off() {
        let summary = lines(&[("all", Target::All)]);
        let name = "pretrained, FTA, not memorized, memory rewritten, linf, block 10, mlp-down";
        for name in [name, "FTM"] {
            let svg = trade_off("a title", &[(name.to_owned(), &summary.lines[0])]).unwrap();
            // The names have an area of their own, whose place is in their coordinates.
            let cut = cut_off(&svg);
            assert!(cut.is_empty() && svg.contains(name), "{cut:?}");
        }
    }

    #[test]
    fn the_rows_of_a_heat_map_are_in_the_order_of_the_plan() {
        let (norms, head) = (Target::Norms, Target::Head);
        let cells = [("0", norms), ("all", head), ("-1", norms), ("all", norms)];
        let summary = lines(&cells);
        let svg = heat_map("a title", &summary.lines.iter().collect::<Vec<_>>()).unwrap();
        let at = |name: &str| svg.find(&format!("\n{name}\n")).unwrap();
        assert!(at("block 0") < at("block -1") && at("block -1") < at("all blocks"), "{svg}");
    }
}
