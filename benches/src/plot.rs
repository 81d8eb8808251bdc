// SPDX-License-Identifier: GPL-2.0-or-later
//! The picture: how many times faster than QEMU's C each row is, and how two costs grow with the
//! disk.

use std::error::Error;
use std::fs;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::case::{Row, Table};
use crate::results::{RowResult, Rows, Verdict, three_digits};

const GOOD: RGBColor = RGBColor(38, 120, 178);
const BAD: RGBColor = RGBColor(200, 80, 40);
const C: RGBColor = RGBColor(120, 120, 120);
const BAR: i32 = 22;

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws it.
///
/// # Errors
/// If the file cannot be written.
pub fn draw(path: &Path, known: &[Row], measured: &Rows) -> Result<()> {
    let goals: Vec<(&Row, &RowResult)> = known
        .iter()
        .filter(|row| row.table == Table::Goals)
        .filter_map(|row| Some((row, measured.rows.get(&row.id)?)))
        .collect();
    let bars = 90 + BAR * goals.len() as i32;
    let root = SVGBackend::new(path, (1000, (bars + 360) as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let (above, below) = root.split_vertically(bars);
    draw_goals(&above, &goals)?;
    let halves = below.split_evenly((1, 2));
    draw_growth(
        &halves[0],
        known,
        measured,
        "grow/set-clean/",
        "set, 4 KiB random, clean: ns by size of the disk",
    )?;
    draw_growth(
        &halves[1],
        known,
        measured,
        "grow/clear/",
        "reset_all after 100,000 writes: ns by size of the disk",
    )?;
    root.present()?;
    drop((root, above, below, halves));
    let licence = "<!-- SPDX-License-Identifier: GPL-2.0-or-later -->\n";
    fs::write(path, licence.to_owned() + &fs::read_to_string(path)?)?;
    Ok(())
}

/// One bar a row, on a logarithmic scale, with a mark where the goal is.
fn draw_goals(area: &Area, goals: &[(&Row, &RowResult)]) -> Result<()> {
    const LEFT: i32 = 330;
    let widest =
        goals.iter().map(|(row, result)| result.ratio().max(row.target)).fold(10.0, f64::max) * 2.0;
    let least = goals.iter().map(|(_, result)| result.ratio()).fold(1.0, f64::min);
    let decades = (widest / least).log10();
    let x = |ratio: f64| LEFT + (640.0 * (ratio / least).log10() / decades) as i32;
    let text = |size: f64, color: &RGBColor, horizontal| {
        ("sans-serif", size).into_font().color(color).pos(Pos::new(horizontal, VPos::Center))
    };
    let title = "QEMU's C ÷ this library: times faster (the black mark is the goal)";
    area.draw(&Text::new(title, (500, 22), text(18.0, &BLACK, HPos::Center)))?;
    let bottom = 50 + BAR * goals.len() as i32;
    let mut line = 1.0;
    while line <= widest {
        area.draw(&PathElement::new(
            vec![(x(line), 45), (x(line), bottom)],
            RGBColor(210, 210, 210),
        ))?;
        area.draw(&Text::new(
            format!("{line}"),
            (x(line), bottom + 14),
            text(12.0, &BLACK, HPos::Center),
        ))?;
        line *= 10.0;
    }
    for (index, (row, result)) in goals.iter().enumerate() {
        let y = 50 + BAR * index as i32;
        let color = if result.verdict(row) == Verdict::Ok { GOOD } else { BAD };
        let (from, to) = (x(1.0).min(x(result.ratio())), x(1.0).max(x(result.ratio())));
        area.draw(&Rectangle::new([(from, y + 3), (to, y + BAR - 3)], color.filled()))?;
        let goal = x(row.target);
        area.draw(&Rectangle::new([(goal - 1, y + 1), (goal + 1, y + BAR - 1)], BLACK.filled()))?;
        let middle = y + BAR / 2;
        area.draw(&Text::new(
            row.what.clone(),
            (LEFT - 8, middle),
            text(12.0, &BLACK, HPos::Right),
        ))?;
        let value = three_digits(result.ratio());
        // Beside the bar, or beside the mark where that would cross the number.
        let end = if (to..to + 60).contains(&goal) { goal } else { to };
        area.draw(&Text::new(value, (end + 6, middle), text(12.0, &color, HPos::Left)))?;
    }
    Ok(())
}

fn draw_growth(
    area: &Area,
    known: &[Row],
    measured: &Rows,
    prefix: &str,
    title: &str,
) -> Result<()> {
    // The series by size has plain names; the one by granularity has a dash.
    let points: Vec<(String, &RowResult)> = known
        .iter()
        .filter_map(|row| Some((row.id.strip_prefix(prefix)?, measured.rows.get(&row.id)?)))
        .filter(|(name, _)| !name.contains('-'))
        .map(|(name, result)| (name.to_string(), result))
        .collect();
    if points.is_empty() {
        return Ok(());
    }
    let all = || points.iter().flat_map(|(_, result)| [result.qemu_ns, result.ours_ns]);
    let range = all().fold(f64::MAX, f64::min) / 2.0..all().fold(0.0, f64::max) * 2.0;
    let last = points.len() as f64 - 1.0;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(70)
        .build_cartesian_2d(-0.3..last + 0.3, range.log_scale())?;
    chart
        .configure_mesh()
        .x_labels(points.len())
        .x_label_formatter(&|x| {
            let whole = (x - x.round()).abs() < 0.01;
            points
                .get(x.round().max(0.0) as usize)
                .filter(|_| whole)
                .map_or(String::new(), |(name, _)| name.clone())
        })
        .y_label_formatter(&|y| format!("{y}"))
        .light_line_style(WHITE)
        .draw()?;
    let times = |of: fn(&RowResult) -> f64| {
        points.iter().map(|(_, result)| of(result)).collect::<Vec<f64>>()
    };
    let qemu = ("QEMU's C", C, times(|result| result.qemu_ns));
    let ours = ("this library", GOOD, times(|result| result.ours_ns));
    for (name, color, times) in [qemu, ours] {
        let line: Vec<(f64, f64)> =
            times.into_iter().enumerate().map(|(index, time)| (index as f64, time)).collect();
        chart
            .draw_series(LineSeries::new(line.clone(), color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        chart.draw_series(line.into_iter().map(|point| Circle::new(point, 3, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(C)
        .draw()?;
    Ok(())
}
