// SPDX-License-Identifier: GPL-2.0-or-later
//! A drawing and its style.

use std::fmt::Write as _;

/// Pixels across. A page of a code host shows it unscaled, so that text is as large as there.
pub const WIDTH: f64 = 838.0;

/// QEMU's C is grey and this library blue; red is slower than C. A picture has a page of its own,
/// because not every viewer knows what it is drawn on.
const STYLE: &str = "\
text{font:12px sans-serif;fill:#1f2328}
.title{font-size:15px;font-weight:600}
.name{font-weight:600}
.note{font-size:11px;fill:#57606a}
.end{text-anchor:end}
.middle{text-anchor:middle}
.page{fill:#ffffff}
.c{fill:#8c959f}.ours{fill:#0969da}.slower{fill:#cf222e}
.c-line{stroke:#8c959f}.ours-line{stroke:#0969da}
.c-line,.ours-line{fill:none;stroke-width:2}
.grid{stroke:#d8dee4;fill:none}
.same{stroke:#57606a;fill:none;stroke-dasharray:4 3}
@media(prefers-color-scheme:dark){
text{fill:#e6edf3}
.note{fill:#9198a1}
.page{fill:#0d1117}
.c{fill:#8b949e}.ours{fill:#58a6ff}.slower{fill:#ff7b72}
.c-line{stroke:#8b949e}.ours-line{stroke:#58a6ff}
.grid{stroke:#30363d}
.same{stroke:#9198a1}
}
";

/// What is drawn so far. Classes are those of the style.
#[derive(Default)]
pub struct Drawing {
    shapes: String,
    texts: String,
}

impl Drawing {
    /// A text that begins, ends or has its middle at `x`, as its class says.
    pub fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ =
            writeln!(self.texts, "<text class=\"{class}\" x=\"{x:.0}\" y=\"{y:.0}\">{text}</text>");
    }

    /// A filled rectangle.
    pub fn rectangle(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        let _ = writeln!(
            self.shapes,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\"/>"
        );
    }

    /// A line through these points.
    pub fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ =
            writeln!(self.shapes, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    /// A dot.
    pub fn dot(&mut self, class: &str, x: f64, y: f64) {
        let _ = writeln!(
            self.shapes,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>"
        );
    }

    /// The two colours, and what they stand for.
    pub fn legend(&mut self, x: f64, y: f64) {
        for (class, name, left) in [("c", "QEMU's C", 0.0), ("ours", "this library", 90.0)] {
            self.rectangle(class, x + left, y - 10.0, 12.0, 12.0);
            self.text("", x + left + 18.0, y, name);
        }
    }

    /// The SVG file. `title` is what a screen reader says.
    pub fn file(self, title: &str, height: f64) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
             <!-- SPDX-License-Identifier: GPL-2.0-or-later -->\n\
             <!-- Made by tools/bench. Do not edit. -->\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n\
             <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\n{}{}</svg>\n",
            self.shapes, self.texts
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        let mut drawing = Drawing::default();
        drawing.text("", 1.0, 2.0, "a < b & c");
        let file = drawing.file("x", 10.0);
        assert!(file.contains(">a &lt; b &amp; c</text>"));
    }
}
