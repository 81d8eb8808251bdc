// SPDX-License-Identifier: GPL-2.0-or-later
//! How many times faster than QEMU's C each row of the goals is: a bar from "same as C".

use super::scale::Scale;
use super::svg::{Drawing, WIDTH};
use crate::case::{Row, Table};
use crate::results::{RowResult, Rows, duration, three_digits};

const LEFT: f64 = 318.0;
const STEP: f64 = 22.0;
const TOP: f64 = 62.0;

/// The picture, as an SVG file.
pub fn svg(known: &[Row], measured: &Rows) -> String {
    let rows: Vec<(&Row, &RowResult)> = known
        .iter()
        .filter(|row| row.table == Table::Goals)
        .filter_map(|row| Some((row, measured.rows.get(&row.id)?)))
        .collect();
    let ratios = || rows.iter().map(|(_, result)| result.ratio());
    let (least, most) = (ratios().fold(0.8, f64::min), ratios().fold(10.0, f64::max));
    // Room for the text after the longest bar.
    let scale = Scale::new((least, most), (LEFT, WIDTH - 196.0));
    let bottom = TOP + STEP * rows.len() as f64;
    let mut drawing = Drawing::default();
    drawing.text("title", 16.0, 24.0, "How many times faster than QEMU's C");
    for power in scale.powers(10.0) {
        let (class, name) = match power {
            1.0 => ("same", "same as C".into()),
            _ => ("grid", format!("{}×", grouped(power).replace(".0", ""))),
        };
        drawing.line(class, &[(scale.at(power), TOP - 6.0), (scale.at(power), bottom)]);
        drawing.text("note middle", scale.at(power), TOP - 12.0, &name);
    }
    for (index, (row, result)) in rows.iter().enumerate() {
        let y = TOP + STEP * index as f64;
        let (one, end) = (scale.at(1.0), scale.at(result.ratio()));
        let class = if result.ratio() < 0.95 { "slower" } else { "ours" };
        drawing.rectangle(class, one.min(end), y + 3.0, (end - one).abs().max(1.0), STEP - 6.0);
        drawing.text("end", scale.at(least.min(1.0)) - 12.0, y + 15.0, &row.what);
        let (c, ours) = (duration(result.qemu_ns), duration(result.ours_ns));
        let text = format!("{}×: {c} → {ours}", grouped(result.ratio()));
        drawing.text("", one.max(end) + 8.0, y + 15.0, &text);
    }
    drawing.file("How many times faster than QEMU's C", bottom + 14.0)
}

/// A number with three digits, or with all of those before the point in groups.
fn grouped(value: f64) -> String {
    let digits = three_digits(value);
    match digits.len() {
        5.. if !digits.contains('.') => {
            let (thousands, rest) = digits.split_at(digits.len() - 3);
            format!("{thousands},{rest}")
        }
        _ => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([1.0, 133.2, 3881.0, 12_605.4].map(grouped), ["1.00", "133", "3881", "12,605"]);
    }
}
