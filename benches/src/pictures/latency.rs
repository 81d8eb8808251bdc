// SPDX-License-Identifier: GPL-2.0-or-later
//! How long a guest's writes take while another thread works: a histogram for each kind of work and
//! implementation, one above the other.

use super::growth::axis;
use super::scale::Scale;
use super::svg::{Drawing, WIDTH};
use crate::results::duration;
use crate::waits::{PERIOD, WaitResult, Waits};

const TOP: f64 = 70.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = WIDTH - 118.0;
/// One histogram, and the line of text above a pair of them.
const STRIP: f64 = 40.0;
const GAP: f64 = 6.0;
const HEADING: f64 = 34.0;

/// The picture, as an SVG file.
pub fn svg(results: &[WaitResult]) -> String {
    let bottom = TOP + results.len() as f64 * (HEADING + 2.0 * (STRIP + GAP));
    let all = || results.iter().flat_map(|result| [&result.qemu, &result.ours]);
    let buckets = || all().flat_map(|waits| waits.histogram.buckets());
    let most = buckets().map(|(.., count)| count).max().unwrap_or(1) as f64;
    let longest = buckets().map(|(_, end, _)| end).fold(1e9, f64::max);
    let across = Scale::new((10.0, longest), (LEFT, RIGHT));
    let mut drawing = Drawing::default();
    drawing.text("title", 16.0, 24.0, "How long a guest's writes take while another thread does …");
    drawing.text(
        "note",
        16.0,
        44.0,
        &format!(
            "A write is due each {}. The height of a bar is the number of writes, on a \
             logarithmic scale.",
            axis(&duration(PERIOD.as_nanos() as f64))
        ),
    );
    for power in across.powers(10.0) {
        drawing.line("grid", &[(across.at(power), TOP), (across.at(power), bottom)]);
        drawing.text("note middle", across.at(power), bottom + 16.0, &axis(&duration(power)));
    }
    let mut y = TOP;
    for WaitResult { what, qemu, ours, .. } in results {
        drawing.text("name", 16.0, y + HEADING - 12.0, what);
        y += HEADING;
        for (class, name, waits) in [("c", "QEMU's C", qemu), ("ours", "this library", ours)] {
            y += STRIP;
            drawing.text("end", LEFT - 10.0, y - 4.0, name);
            strip(&mut drawing, class, across, y, waits, most);
            y += GAP;
        }
    }
    drawing.file("How long a guest's writes take while another thread works", bottom + 28.0)
}

/// A histogram on the line at `y`, and its longest write.
fn strip(drawing: &mut Drawing, class: &str, across: Scale, y: f64, waits: &Waits, most: f64) {
    // One write is seen.
    let up = Scale::new((0.4, most), (0.0, STRIP));
    drawing.line("grid", &[(LEFT, y), (RIGHT, y)]);
    for (from, to, count) in waits.histogram.buckets() {
        let (x, end, height) = (across.at(from), across.at(to), up.at(count as f64));
        drawing.rectangle(class, x, y - height, end - x - 0.6, height);
    }
    drawing.text("", RIGHT + 10.0, y - 4.0, &format!("longest {}", duration(waits.longest_ns)));
}
