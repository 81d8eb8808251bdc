// SPDX-License-Identifier: GPL-2.0-or-later
//! The picture of a sweep: a row for each operation, pattern and size, a column for each density.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::run::Sweep;
use super::summary::{Measured, heading, measured, sentence};
use super::{DENSITIES, Row};

/// Least ratio of a colour, its class, and what the legend says. The neutral one has 1 in its
/// middle.
const COLOURS: [(f64, &str, &str); 9] = [
    (0.0, "s3", "< 0.5"),
    (0.5, "s2", "0.5–0.8"),
    (0.8, "s1", "0.8–0.95"),
    (0.95, "same", "0.95–1.05"),
    (1.05, "f1", "1.05–1.5"),
    (1.5, "f2", "1.5–3"),
    (3.0, "f3", "3–10"),
    (10.0, "f4", "10–100"),
    (100.0, "f5", "≥ 100"),
];

/// What is slower than C is red, what is faster is blue, on a light and on a dark page.
const STYLE: &str = "\
text{font:10px sans-serif;fill:#1f2328}
.title{font-size:16px;font-weight:bold}
.operation{font-weight:bold}
.note{font-size:11px}
.small{font-size:8px}
.page{fill:#ffffff}
.mark{stroke:#000000;stroke-width:1.4;fill:none}
.s3{fill:#b2182b}.s2{fill:#e8704f}.s1{fill:#f7bfa0}.same{fill:#dcdfe3}
.f1{fill:#cfe3f1}.f2{fill:#9cc8e3}.f3{fill:#5ba3d0}.f4{fill:#2b78b8}.f5{fill:#0e4a8a}
@media(prefers-color-scheme:dark){
text{fill:#e6edf3}
.page{fill:#0d1117}
.mark{stroke:#ffffff}
.s3{fill:#ff4d3d}.s2{fill:#cc4a30}.s1{fill:#7d3526}.same{fill:#3b4149}
.f1{fill:#24435c}.f2{fill:#2b5f8a}.f3{fill:#3582bd}.f4{fill:#58aef0}.f5{fill:#a9dcff}
}
";

const LABEL: i32 = 186;
const WIDTH: i32 = 15;
const HEIGHT: i32 = 12;
const PANEL: i32 = LABEL + WIDTH * DENSITIES.len() as i32;
const GAP: i32 = 22;
const MARGIN: i32 = 8;
/// A colour in the legend.
const SWATCH: i32 = 58;
/// Title, legend and notes.
const TOP: i32 = 98;
/// Headings of the columns.
const HEADINGS: i32 = 42;

/// A line of the picture.
enum Line<'a> {
    /// The operation of the lines that follow.
    Operation(&'a str),
    /// Cells at their densities' columns.
    Densities(&'a [Measured<'a>]),
    /// The names of the cells in the next line.
    Names(&'a [Measured<'a>]),
    /// Cells without a density.
    Singles(&'a [Measured<'a>]),
}

/// The picture, as an SVG file.
pub fn svg(rows: &[Row], sweep: &Sweep) -> String {
    let cells = measured(rows, &sweep.cells);
    let lines = lines(&cells);
    let panels = split(&lines);
    let longest = panels.iter().map(|panel| panel.len()).max().unwrap_or(0) as i32;
    let (width, height) = (2 * (MARGIN + PANEL) + GAP, TOP + HEADINGS + longest * HEIGHT + MARGIN);
    let mut drawing = Drawing::default();
    drawing.legend(&sentence(&cells));
    for (index, panel) in panels.iter().enumerate() {
        drawing.panel(MARGIN + index as i32 * (PANEL + GAP), panel);
    }
    let mut svg = format!(
        "<!-- SPDX-License-Identifier: GPL-2.0-or-later -->\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>QEMU's C ÷ this library, for each operation and density</title>\n\
         <style>\n{STYLE}</style>\n<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    for (class, path) in &drawing.paths {
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
    }
    // Marks are over the colours.
    let _ = writeln!(svg, "<path class=\"mark\" d=\"{}\"/>", drawing.marks);
    svg + &drawing.texts + "</svg>\n"
}

fn lines<'a>(cells: &'a [Measured<'a>]) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    for operation in cells.chunk_by(|a, b| a.row.operation.what == b.row.operation.what) {
        lines.push(Line::Operation(&operation[0].row.operation.what));
        if operation[0].cell.column.is_none() {
            lines.extend([Line::Names(operation), Line::Singles(operation)]);
        } else {
            lines.extend(operation.chunk_by(|a, b| a.row.id == b.row.id).map(Line::Densities));
        }
    }
    lines
}

/// Two panels of about the same length; the second begins with an operation.
fn split<'a, 'b>(lines: &'b [Line<'a>]) -> [&'b [Line<'a>]; 2] {
    let middle = lines.len() / 2;
    let is_operation = |line: &Line| matches!(line, Line::Operation(_));
    let start =
        lines[middle..].iter().position(is_operation).map_or(lines.len(), |index| middle + index);
    [&lines[..start], &lines[start..]]
}

/// The class of a ratio's colour.
fn colour(ratio: f64) -> &'static str {
    COLOURS
        .iter()
        .rev()
        .find(|(least, ..)| ratio >= *least)
        .map_or(COLOURS[0].1, |(_, class, _)| class)
}

#[derive(Default)]
struct Drawing {
    /// One path for each colour.
    paths: BTreeMap<&'static str, String>,
    marks: String,
    texts: String,
}

impl Drawing {
    fn text(&mut self, class: &str, attributes: &str, (x, y): (i32, i32), text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            self.texts,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\"{attributes}>{text}</text>"
        );
    }

    fn legend(&mut self, sentence: &str) {
        self.text("title", "", (MARGIN, 24), "QEMU's C ÷ this library: how many times faster");
        self.text("note", "", (MARGIN, 42), sentence);
        for (index, (_, class, text)) in COLOURS.into_iter().enumerate() {
            let x = MARGIN + SWATCH * index as i32;
            self.rectangle(class, (x, 54), SWATCH - 2);
            self.text("note", "", (x, 78), text);
        }
        let x = MARGIN + SWATCH * COLOURS.len() as i32 + 16;
        self.rectangle("s3", (x, 54), WIDTH);
        self.mark((x, 54));
        let lines = [
            "under the floor each time:",
            "longer than C's time ÷ 0.95, or, where",
            "C takes less than 10 ns, by more than 2 ns",
        ];
        for (line, y) in lines.into_iter().zip([64, 78, 92]) {
            self.text("note", "", (x + WIDTH + 6, y), line);
        }
    }

    fn rectangle(&mut self, class: &'static str, (x, y): (i32, i32), width: i32) {
        let (width, height) = (width - 1, HEIGHT - 1);
        let path = self.paths.entry(class).or_default();
        let _ = write!(path, "M{x} {y}h{width}v{height}h-{width}z");
    }

    fn mark(&mut self, (x, y): (i32, i32)) {
        let (x, y) = (x + WIDTH / 2 - 3, y + 3);
        let _ = write!(self.marks, "M{x} {y}l5 5m0 -5l-5 5");
    }

    fn cell(&mut self, cell: &Measured, at: (i32, i32)) {
        self.rectangle(colour(cell.result.times.ratio()), at, WIDTH);
        if cell.result.under {
            self.mark(at);
        }
    }

    fn panel(&mut self, left: i32, lines: &[Line]) {
        let column = |index: usize| left + LABEL + WIDTH * index as i32;
        self.text(
            "note",
            " text-anchor=\"end\"",
            (left + LABEL - 6, TOP + HEADINGS - 6),
            "bits in a chunk of 32,768",
        );
        for (index, density) in DENSITIES.into_iter().enumerate() {
            let (x, y) = (column(index) + 13, TOP + HEADINGS - 4);
            self.text(
                "",
                &format!(" transform=\"rotate(-60 {x} {y})\""),
                (x, y),
                &heading(density),
            );
        }
        for (index, line) in lines.iter().enumerate() {
            let y = TOP + HEADINGS + HEIGHT * index as i32;
            match line {
                Line::Operation(what) => self.text("operation", "", (left, y + HEIGHT - 2), what),
                Line::Densities(cells) => {
                    self.text(
                        "",
                        " text-anchor=\"end\"",
                        (left + LABEL - 6, y + 9),
                        &cells[0].row.content,
                    );
                    for cell in *cells {
                        let at =
                            DENSITIES.iter().position(|&density| Some(density) == cell.cell.column);
                        self.cell(cell, (column(at.expect("the densities are the columns")), y));
                    }
                }
                Line::Names(cells) => {
                    for (index, cell) in cells.iter().enumerate() {
                        let middle = column(index) + WIDTH / 2;
                        self.text(
                            "small",
                            " text-anchor=\"middle\"",
                            (middle, y + 10),
                            &cell.row.content,
                        );
                    }
                }
                Line::Singles(cells) => {
                    for (index, cell) in cells.iter().enumerate() {
                        self.cell(cell, (column(index), y));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_part_at_one() {
        assert_eq!(colour(0.0002), "s3");
        assert_eq!(colour(0.94), "s1");
        assert_eq!((colour(0.96), colour(1.0), colour(1.04)), ("same", "same", "same"));
        assert_eq!(colour(1.06), "f1");
        assert_eq!(colour(9000.0), "f5");
    }
}
