// SPDX-License-Identifier: GPL-2.0-or-later
//! How much memory a bitmap holds, by size of the disk, for some contents.

use super::growth::axis;
use super::scale::Scale;
use super::svg::{Drawing, WIDTH};
use crate::memory::{SizeResult, contents};
use crate::units::size;

const TOP: f64 = 76.0;
const BOTTOM: f64 = 280.0;
const LEFT: f64 = 66.0;
const GAP: f64 = 16.0;

/// The picture, as an SVG file.
pub fn svg(results: &[SizeResult]) -> String {
    let held = || results.iter().flat_map(|result| [result.qemu, result.ours]);
    let (least, most) = (held().min().unwrap_or(1).max(1024), held().max().unwrap_or(1));
    let up = Scale::new((least as f64 / 2.0, most as f64 * 2.0), (BOTTOM, TOP));
    let contents = contents();
    let step = (WIDTH - LEFT - 16.0 + GAP) / contents.len() as f64;
    let mut drawing = Drawing::default();
    drawing.text("title", 16.0, 24.0, "Memory of one bitmap, by size of the disk");
    drawing.legend(WIDTH - 206.0, 24.0);
    for power in up.powers(16.0) {
        drawing.text("note end", LEFT - 8.0, up.at(power) + 4.0, &axis(&size(power as u64)));
    }
    for (index, content) in contents.iter().enumerate() {
        let (from, to) = (LEFT + step * index as f64, LEFT + step * (index + 1) as f64 - GAP);
        drawing.text("name", from, 54.0, content.what);
        for power in up.powers(16.0) {
            drawing.line("grid", &[(from, up.at(power)), (to, up.at(power))]);
        }
        panel(&mut drawing, results, content.id, up, (from, to));
    }
    drawing.file("Memory of one bitmap, by size of the disk", BOTTOM + 34.0)
}

fn panel(drawing: &mut Drawing, results: &[SizeResult], id: &str, up: Scale, ends: (f64, f64)) {
    let points: Vec<&SizeResult> = results.iter().filter(|result| result.content == id).collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
    let across = Scale::new((first.disk as f64, last.disk as f64), (ends.0 + 16.0, ends.1 - 66.0));
    for point in points.iter().step_by(3) {
        let x = across.at(point.disk as f64);
        drawing.text("note middle", x, BOTTOM + 18.0, &size(point.disk));
    }
    for (engine, class) in ["c", "ours"].into_iter().enumerate() {
        let held = |point: &SizeResult| [point.qemu, point.ours][engine];
        let line: Vec<(f64, f64)> = points
            .iter()
            .map(|point| (across.at(point.disk as f64), up.at(held(point) as f64)))
            .collect();
        drawing.line(&format!("{class}-line"), &line);
        line.iter().for_each(|&(x, y)| drawing.dot(class, x, y));
        // What both hold is one number; of two, the larger one is above.
        let (this, other) = (held(last), last.qemu + last.ours - held(last));
        let is_same = this.abs_diff(other) * 20 < other;
        if !is_same || class == "ours" {
            let (x, y) = line[line.len() - 1];
            let apart = if is_same { 0.0 } else { 6.0 };
            let y = y + 4.0 + if this > other { -apart } else { apart };
            drawing.text("", x + 8.0, y, &size(this));
        }
    }
}
