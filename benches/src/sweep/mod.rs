// SPDX-License-Identifier: GPL-2.0-or-later
//! The sweep: every operation at every density, pattern and size that makes sense for it, against
//! QEMU's C.
//!
//! An operation has a row for each pattern and size, and a row has a cell for each density.
//! `reads`, `writes`, `merges`, `bulk` and `sequences` are the operations; `measure` times a cell,
//! `floor` judges it, `summary` and `heatmap` show the whole.

pub mod bulk;
pub mod content;
pub mod floor;
pub mod heatmap;

mod isolated;
mod loops;
pub mod measure;
pub mod merges;
pub mod reads;
pub mod run;
pub mod sequences;
pub mod summary;
pub mod work;
pub mod writes;

use std::rc::Rc;

use content::{CHUNK, Content, Pattern, Shape};
use work::Work;

/// Bits in each chunk.
pub const DENSITIES: [u64; 14] =
    [0, 1, 4, 8, 12, 24, 48, 64, 100, 300, 3000, 16_384, 32_700, CHUNK];

/// A size of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The name in ids.
    pub id: &'static str,
    /// Bytes.
    pub bytes: u64,
}

/// The sizes of the sweep.
pub const SIZES: [Size; 6] = [
    Size { id: "1g", bytes: 1 << 30 },
    Size { id: "64g", bytes: 1 << 36 },
    Size { id: "1t", bytes: 1 << 40 },
    Size { id: "16t", bytes: 1 << 44 },
    Size { id: "256t", bytes: 1 << 48 },
    Size { id: "1p", bytes: 1 << 50 },
];
const G1: Size = SIZES[0];
const G64: Size = SIZES[1];
const T1: Size = SIZES[2];
const T16: Size = SIZES[3];
const T256: Size = SIZES[4];

/// What must be there for an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    SetBits,
    ClearBits,
}

/// Makes an operation's work on a content.
type Make = Box<dyn Fn(&Content) -> Work>;

/// What is measured in some rows.
pub struct Operation {
    /// Stable, and the first part of the rows' ids.
    pub id: String,
    /// For a reader.
    pub what: String,
    needs: Needs,
    granularity: u32,
    work: Make,
}

impl Operation {
    fn new(
        id: &str,
        what: &str,
        needs: Needs,
        work: impl Fn(&Content) -> Work + 'static,
    ) -> Operation {
        Operation { id: id.into(), what: what.into(), needs, granularity: 16, work: Box::new(work) }
    }

    fn granularity(mut self, granularity: u32) -> Operation {
        self.granularity = granularity;
        self
    }

    /// A row for each pattern and size.
    fn rows(self, contents: &[(Pattern, Size)]) -> Vec<Row> {
        let operation = Rc::new(self);
        let row = |&(pattern, size): &(Pattern, Size)| {
            let shape = |density| Shape {
                pattern,
                density,
                bits: size.bytes >> operation.granularity,
                granularity: operation.granularity,
            };
            let cells = DENSITIES
                .into_iter()
                .filter(|&density| makes_sense(pattern, size, density))
                .map(|density| Cell { column: Some(density), shape: shape(density) })
                .filter(|cell| match operation.needs {
                    Needs::Nothing => true,
                    Needs::SetBits => cell.shape.ones() > 0,
                    Needs::ClearBits => cell.shape.ones() < cell.shape.bits,
                })
                .collect();
            let id = format!("{}/{}/{}", operation.id, pattern.id(), size.id);
            Row {
                id,
                content: format!("{}, {}", pattern.name(), size.name()),
                operation: operation.clone(),
                cells,
            }
        };
        contents.iter().map(row).collect()
    }

    /// One row of one cell, whose density is a column or not.
    fn row(self, content: &str, column: Option<u64>, shape: Shape) -> Vec<Row> {
        let operation = Rc::new(self);
        let id = operation.id.clone();
        vec![Row { id, content: content.into(), operation, cells: vec![Cell { column, shape }] }]
    }
}

/// Patterns that are the same as another one at a density are left out, and so is what would take
/// minutes.
fn makes_sense(pattern: Pattern, size: Size, density: u64) -> bool {
    let fits = match size.bytes {
        bytes if bytes >= T256.bytes => [0, 1, CHUNK].contains(&density),
        bytes if bytes >= T16.bytes => [0, 1, 8, 48, 300, 16_384, CHUNK].contains(&density),
        _ => true,
    };
    fits && match pattern {
        Pattern::Random => true,
        Pattern::Runs => density > 1 && density < CHUNK,
        Pattern::EveryNth => density > 1 && density <= 16_384,
        Pattern::AllBut | Pattern::ResetEach => density > 0 && density <= 3000,
        Pattern::SetEach => density > 0,
        Pattern::Remains => density <= 3000,
    }
}

impl Size {
    /// The name for readers.
    pub fn name(self) -> String {
        let (number, unit) = self.id.split_at(self.id.len() - 1);
        format!("{number} {}iB", unit.to_uppercase())
    }
}

/// A row of the heat map.
pub struct Row {
    /// Stable.
    pub id: String,
    /// Pattern and size, for a reader.
    pub content: String,
    /// What is measured.
    pub operation: Rc<Operation>,
    /// From left to right.
    pub cells: Vec<Cell>,
}

/// What is measured at once.
pub struct Cell {
    /// Bits in a chunk, if the row has columns.
    pub column: Option<u64>,
    /// The content to begin with.
    pub shape: Shape,
}

impl Row {
    /// A cell's id.
    pub fn cell_id(&self, cell: &Cell) -> String {
        match cell.column {
            Some(column) => format!("{}/{column}", self.id),
            None => self.id.clone(),
        }
    }

    /// What is timed in a cell.
    pub fn work(&self, cell: &Cell) -> Work {
        (self.operation.work)(&Content::new(cell.shape, 1))
    }
}

/// Every row, in the order of the heat map.
pub fn all() -> Vec<Row> {
    [writes::rows(), reads::rows(), merges::rows(), bulk::rows(), sequences::rows()]
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique() {
        let rows = all();
        let ids: Vec<String> =
            rows.iter().flat_map(|row| row.cells.iter().map(|cell| row.cell_id(cell))).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        assert!(rows.iter().all(|row| !row.cells.is_empty()));
    }
}
