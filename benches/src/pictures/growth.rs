// SPDX-License-Identifier: GPL-2.0-or-later
//! How two costs grow with the disk.

use super::scale::Scale;
use super::svg::{Drawing, WIDTH};
use crate::disks::SIZES;
use crate::results::{Rows, duration, size};

const HEIGHT: f64 = 280.0;
const PANELS: [(&str, &str); 2] = [
    ("grow/set-clean/", "One write to a clean block"),
    ("grow/clear/", "Clear a bitmap after 100,000 writes"),
];

/// The picture, as an SVG file.
pub fn svg(measured: &Rows) -> String {
    let mut drawing = Drawing::default();
    drawing.text("title", 16.0, 24.0, "How long it takes, by size of the disk");
    drawing.legend(WIDTH - 206.0, 24.0);
    for (index, (prefix, title)) in PANELS.into_iter().enumerate() {
        let left = 16.0 + index as f64 * (WIDTH - 16.0) / 2.0;
        panel(&mut drawing, left, title, measured, prefix);
    }
    drawing.file("How long a write and a clear take, by size of the disk", HEIGHT)
}

fn panel(drawing: &mut Drawing, left: f64, title: &str, measured: &Rows, prefix: &str) {
    let points: Vec<(f64, [f64; 2])> = SIZES
        .iter()
        .filter_map(|&(id, bytes)| {
            let result = measured.rows.get(&format!("{prefix}{id}"))?;
            Some((bytes as f64, [result.qemu_ns, result.ours_ns]))
        })
        .collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
    let (from, to) = (left + 56.0, left + (WIDTH - 16.0) / 2.0 - 20.0);
    let times = || points.iter().flat_map(|(_, times)| *times);
    let low = times().fold(f64::MAX, f64::min) / 1.5;
    let across = Scale::new((first.0, last.0), (from, to));
    let up = Scale::new((low, times().fold(0.0, f64::max) * 1.5), (HEIGHT - 36.0, 66.0));
    drawing.text("name", left, 52.0, title);
    for power in up.powers(10.0) {
        drawing.line("grid", &[(from, up.at(power)), (to, up.at(power))]);
        drawing.text("note end", from - 6.0, up.at(power) + 4.0, &axis(&duration(power)));
    }
    for (bytes, _) in points.iter().step_by(2) {
        drawing.text("note middle", across.at(*bytes), HEIGHT - 16.0, &axis(&size(*bytes as u64)));
    }
    for (engine, class) in ["c", "ours"].into_iter().enumerate() {
        let line: Vec<(f64, f64)> =
            points.iter().map(|(bytes, times)| (across.at(*bytes), up.at(times[engine]))).collect();
        drawing.line(&format!("{class}-line"), &line);
        line.iter().for_each(|&(x, y)| drawing.dot(class, x, y));
    }
}

/// A round value without the digits after its point.
pub(super) fn axis(value: &str) -> String {
    value.replace(".00 ", " ").replace(".0 ", " ")
}
