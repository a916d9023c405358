//! What the records of all seeds come to: the best point of each method, and the whole trade-off.

use std::collections::BTreeMap;

use super::cell::{Cell, Point, Record};

/// What the records of a plan come to, line by line of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// In the order in which the plan has them.
    pub lines: Vec<Line>,
}

/// What is the same but for the seed, the bound of the constraint and the step.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// One of its cells.
    pub cell: Cell,
    /// For each seed, the point of the best mean accuracy over all bounds and steps, and the bound.
    pub best: Vec<Seen>,
    /// For each seed, the share of the other facts that were said before.
    pub kept_before: Vec<f64>,
    /// For each seed, `A_M` at the best point whose `A_{F\S}` is at most so many points below that
    /// at the start: 1 and 5.
    pub within: Vec<[f64; 2]>,
    /// For each seed, the area under the trade-off curve.
    pub area: Vec<f64>,
    /// All points of all seeds, bounds and steps, as (`A_{F\S}`, `A_M`).
    pub points: Vec<(f64, f64)>,
    /// For each relation, what a record counts after the last step, over all seeds, each under
    /// its best bound.
    pub by_relation: BTreeMap<String, [usize; 4]>,
    /// For each weight how far it is from where it started, after the last step: the mean Euclidean
    /// distance and the largest difference, over the same.
    pub moved: BTreeMap<String, (f64, f64)>,
    /// Seconds, over all seeds and bounds.
    pub seconds: f64,
}

/// A point, and the bound of the constraint under which it was seen.
type Seen = (Point, Option<f64>);

impl Summary {
    /// Of `records`.
    #[must_use]
    pub fn new(records: &[Record]) -> Self {
        let mut keys: Vec<String> = Vec::new();
        let mut groups: BTreeMap<String, Vec<&Record>> = BTreeMap::new();
        for record in records {
            let key = line_of(&record.cell);
            if !groups.contains_key(&key) {
                keys.push(key.clone());
            }
            groups.entry(key).or_default().push(record);
        }
        Self { lines: keys.iter().map(|key| Line::new(&groups[key])).collect() }
    }
}

/// What the cells of a line have in common.
fn line_of(cell: &Cell) -> String {
    let Cell { start, size, data, from, memory, blocks, component, constraint, .. } = cell;
    let kind = constraint.name();
    format!("{start:?} {size} {data:?} {from:?} {memory:?} {blocks} {component:?} {kind}")
}

impl Line {
    fn new(records: &[&Record]) -> Self {
        let mut of_seed: BTreeMap<u64, Vec<&Record>> = BTreeMap::new();
        for record in records {
            of_seed.entry(record.cell.seed).or_default().push(record);
        }
        let mut line = Self {
            cell: records[0].cell.clone(),
            best: vec![],
            kept_before: vec![],
            within: vec![],
            area: vec![],
            points: vec![],
            by_relation: BTreeMap::new(),
            moved: BTreeMap::new(),
            seconds: records.iter().map(|record| record.seconds).sum(),
        };
        for records in of_seed.values() {
            let points: Vec<(Point, &Record)> = records
                .iter()
                .flat_map(|&record| record.points.iter().map(move |&point| (point, record)))
                .collect();
            let before = records[0].points[0].kept;
            // Of equals the first: the smallest bound of a plan in order, and the earliest step.
            let by_mean =
                |a: &&(Point, &Record), b: &&(Point, &Record)| a.0.mean().total_cmp(&b.0.mean());
            if let Some(&(point, record)) = points.iter().rev().max_by(by_mean) {
                line.best.push((point, record.cell.constraint.bound()));
                line.add_details(record, of_seed.len());
            }
            line.kept_before.push(before);
            line.within.push([0.01, 0.05].map(|drop| {
                let near = points.iter().filter(|(point, _)| point.kept >= before - drop - 1e-9);
                near.map(|(point, _)| point.modified).fold(0.0, f64::max)
            }));
            let curve: Vec<(f64, f64)> =
                points.iter().map(|(point, _)| (point.kept, point.modified)).collect();
            line.area.push(area(&curve));
            line.points.extend(curve);
        }
        line
    }

    /// Adds what a record, one of `n_seeds`, says by relation and by weight.
    fn add_details(&mut self, record: &Record, n_seeds: usize) {
        for (relation, counts) in &record.by_relation {
            let sums = self.by_relation.entry(relation.clone()).or_default();
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        for (id, distance, largest) in &record.moved {
            let (mean, most) = self.moved.entry(id.clone()).or_default();
            *mean += distance / n_seeds as f64;
            *most = most.max(*largest);
        }
    }
}

/// The points of a trade-off that no other one beats in both: by falling first coordinate.
fn frontier(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)));
    let mut best = f64::NEG_INFINITY;
    sorted.retain(|&(_, y)| {
        let better = y > best;
        best = best.max(y);
        better
    });
    sorted
}

/// The frontier as stairs: for each step its right end, its left end and its height. Between two
/// points nothing better than the one with fewer facts lost is known to be reached.
pub(super) fn stairs(points: &[(f64, f64)]) -> Vec<(f64, f64, f64)> {
    let frontier = frontier(points);
    let lefts = frontier.iter().skip(1).map(|&(x, _)| x).chain([0.0]);
    frontier.iter().zip(lefts).map(|(&(right, y), left)| (right, left, y)).collect()
}

/// The area under the stairs, over the unit square: for each share of facts that are kept, the
/// largest share of modified ones that was reached with it.
fn area(points: &[(f64, f64)]) -> f64 {
    stairs(points).iter().map(|(right, left, y)| (right - left) * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frontier_is_what_nothing_beats_and_its_area_is_a_staircase() {
        let points = [(1.0, 0.0), (0.9, 0.5), (0.8, 0.4), (0.5, 1.0)];
        assert_eq!(frontier(&points), [(1.0, 0.0), (0.9, 0.5), (0.5, 1.0)]);
        assert!((area(&points) - (0.4 * 0.5 + 0.5)).abs() < 1e-12);
        assert_eq!(area(&[]), 0.0);
    }
}
