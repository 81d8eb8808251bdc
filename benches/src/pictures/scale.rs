// SPDX-License-Identifier: GPL-2.0-or-later
//! Logarithmic axes.

/// From values to pixels, so that a factor has the same length everywhere.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    values: (f64, f64),
    pixels: (f64, f64),
}

impl Scale {
    /// The first and the last value, both above 0, and where they lie.
    pub fn new(values: (f64, f64), pixels: (f64, f64)) -> Scale {
        Scale { values, pixels }
    }

    /// Where a value lies; at the end of the axis if it is past it.
    pub fn at(self, value: f64) -> f64 {
        let ((low, high), (from, to)) = (self.values, self.pixels);
        let part = (value / low).ln() / (high / low).ln();
        from + (to - from) * part.clamp(0.0, 1.0)
    }

    /// The powers of `base` on the axis.
    pub fn powers(self, base: f64) -> impl Iterator<Item = f64> {
        let (low, high) = self.values;
        let first = (low.ln() / base.ln() - 1e-9).ceil() as i32;
        (first..)
            .map(move |power| base.powi(power))
            .take_while(move |&value| value <= high * 1.0001)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_have_one_length() {
        let scale = Scale::new((1.0, 100.0), (50.0, 250.0));
        assert_eq!(scale.at(10.0), 150.0);
        assert_eq!((scale.at(0.1), scale.at(1e9)), (50.0, 250.0));
        assert_eq!(scale.powers(10.0).collect::<Vec<_>>(), [1.0, 10.0, 100.0]);
    }
}
