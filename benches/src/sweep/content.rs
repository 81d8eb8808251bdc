// SPDX-License-Identifier: GPL-2.0-or-later
//! Contents of bitmaps with a number of bits in each chunk, and lists of their set and clear bits.

use std::collections::HashSet;

use crate::random::Random;

/// Bits of a chunk.
pub const CHUNK: u64 = 1 << 15;

/// How the bits of a chunk lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// At random.
    Random,
    /// In runs of 64 bits at random; fewer than 64 bits are one run.
    Runs,
    /// At equal distances.
    EveryNth,
    /// All but so many, at random.
    AllBut,
    /// As `Random`, by a set of each bit.
    SetEach,
    /// As `Random`, what resets of single bits have left.
    Remains,
    /// As `AllBut`, by a reset of each bit of a full bitmap.
    ResetEach,
}

impl Pattern {
    /// The name in ids.
    pub fn id(self) -> &'static str {
        match self {
            Pattern::Random => "random",
            Pattern::Runs => "runs",
            Pattern::EveryNth => "nth",
            Pattern::AllBut => "all-but",
            Pattern::SetEach => "set-each",
            Pattern::Remains => "remains",
            Pattern::ResetEach => "reset-each",
        }
    }

    /// The name for readers.
    pub fn name(self) -> &'static str {
        match self {
            Pattern::Random => "random bits",
            Pattern::Runs => "runs",
            Pattern::EveryNth => "every k-th bit",
            Pattern::AllBut => "all but so many",
            Pattern::SetEach => "random bits, set one by one",
            Pattern::Remains => "random bits, left by resets",
            Pattern::ResetEach => "all but so many, by resets",
        }
    }
}

/// What a content is made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// How the bits lie.
    pub pattern: Pattern,
    /// Bits in each chunk of 32,768; a bitmap that is smaller has its share, and one at least.
    pub density: u64,
    /// Bits of the bitmap, a multiple of 64.
    pub bits: u64,
    /// As a power of two.
    pub granularity: u32,
}

impl Shape {
    /// Bytes of the disk.
    pub fn disk(self) -> u64 {
        self.bits << self.granularity
    }

    /// Bytes that a bit stands for.
    pub fn granule(self) -> u64 {
        1 << self.granularity
    }

    fn chunk_bits(self) -> u64 {
        self.bits.min(CHUNK)
    }

    /// Set bits of a chunk.
    pub fn ones_per_chunk(self) -> u64 {
        let share = (self.density * self.chunk_bits() / CHUNK).max(self.density.min(1));
        match self.pattern {
            Pattern::AllBut | Pattern::ResetEach => self.chunk_bits() - share,
            _ => share,
        }
    }

    /// Chunks, of which only a small bitmap's is shorter than 32,768 bits.
    pub fn chunks(self) -> u64 {
        self.bits / self.chunk_bits()
    }

    /// Set bits.
    pub fn ones(self) -> u64 {
        self.ones_per_chunk() * self.chunks()
    }
}

/// Different chunks; the bitmap repeats them in random order.
const TEMPLATES: u64 = 16;

struct Template {
    words: Vec<u64>,
    set: Vec<u16>,
    clear: Vec<u16>,
}

/// The content of a bitmap.
pub struct Content {
    /// What it was made from.
    pub shape: Shape,
    seed: u64,
    templates: Vec<Template>,
}

impl Content {
    /// Contents of equal shapes differ by their seeds.
    pub fn new(shape: Shape, seed: u64) -> Content {
        let mut random = Random::new(seed);
        let templates =
            (0..TEMPLATES.min(shape.chunks())).map(|_| Template::new(shape, &mut random)).collect();
        Content { shape, seed, templates }
    }

    fn template(&self, chunk: u64) -> usize {
        Random::new(self.seed ^ (chunk << 8)).below(self.templates.len() as u64) as usize
    }

    /// The serialised form.
    pub fn bytes(&self) -> Vec<u8> {
        let bytes = |template: &Template| {
            template.words.iter().flat_map(|word| word.to_le_bytes()).collect()
        };
        let templates: Vec<Vec<u8>> = self.templates.iter().map(bytes).collect();
        let mut content = Vec::with_capacity((self.shape.bits / 8) as usize);
        for chunk in 0..self.shape.chunks() {
            content.extend_from_slice(&templates[self.template(chunk)]);
        }
        content
    }

    /// At most so many of the set bits, in random order, each once.
    pub fn set_bits(&self, limit: u64) -> Vec<u64> {
        self.sample(limit, |template| &template.set)
    }

    /// At most so many of the clear bits, in random order, each once.
    pub fn clear_bits(&self, limit: u64) -> Vec<u64> {
        self.sample(limit, |template| &template.clear)
    }

    fn sample(&self, limit: u64, of: impl Fn(&Template) -> &Vec<u16>) -> Vec<u64> {
        let mut random = Random::new(self.seed ^ 0x5a);
        let chunks = self.shape.chunks();
        let per_chunk = self.templates.first().map_or(0, |template| of(template).len() as u64);
        let bit = |chunk: u64, index: u64| {
            chunk * CHUNK + u64::from(of(&self.templates[self.template(chunk)])[index as usize])
        };
        if per_chunk * chunks > 2 * limit {
            let mut seen = HashSet::new();
            let mut bits = Vec::new();
            while (bits.len() as u64) < limit {
                let chosen = bit(random.below(chunks), random.below(per_chunk));
                if seen.insert(chosen) {
                    bits.push(chosen);
                }
            }
            return bits;
        }
        let mut bits: Vec<u64> = (0..chunks)
            .flat_map(|chunk| (0..per_chunk).map(move |index| (chunk, index)))
            .map(|(c, i)| bit(c, i))
            .collect();
        for index in (1..bits.len()).rev() {
            bits.swap(index, random.below(index as u64 + 1) as usize);
        }
        bits.truncate(limit as usize);
        bits
    }
}

impl Template {
    fn new(shape: Shape, random: &mut Random) -> Template {
        let (length, ones) = (shape.chunk_bits(), shape.ones_per_chunk());
        let mut words = vec![0u64; (length / 64) as usize];
        let mut set = |bit: u64| {
            let (word, mask) = ((bit / 64) as usize, 1 << (bit % 64));
            let new = words[word] & mask == 0;
            words[word] |= mask;
            new
        };
        match shape.pattern {
            Pattern::Random
            | Pattern::SetEach
            | Pattern::Remains
            | Pattern::AllBut
            | Pattern::ResetEach => {
                // The rarer kind of bits is chosen.
                let inverted = ones > length / 2;
                let mut left = if inverted { length - ones } else { ones };
                while left > 0 {
                    left -= u64::from(set(random.below(length)));
                }
                if inverted {
                    words.iter_mut().for_each(|word| *word = !*word);
                }
            }
            Pattern::Runs => {
                let runs = ones.div_ceil(64);
                for run in 0..runs {
                    // Each run has a part of the chunk for itself.
                    let (start, end) = (length * run / runs, length * (run + 1) / runs);
                    let bits = ones * (run + 1) / runs - ones * run / runs;
                    let first = start + random.below(end - start - bits + 1);
                    (first..first + bits).for_each(|bit| _ = set(bit));
                }
            }
            Pattern::EveryNth => {
                let first = random.below(length / ones.max(1));
                (0..ones).for_each(|index| _ = set(first + length * index / ones));
            }
        }
        let bits = |value: u64| -> Vec<u16> {
            let is = |&bit: &u64| words[(bit / 64) as usize] >> (bit % 64) & 1 == value;
            (0..length).filter(is).map(|bit| bit as u16).collect()
        };
        let (set, clear) = (bits(1), bits(0));
        Template { words, set, clear }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{ones, runs};

    const PATTERNS: [Pattern; 4] =
        [Pattern::Random, Pattern::Runs, Pattern::EveryNth, Pattern::AllBut];

    fn content(pattern: Pattern, density: u64, bits: u64) -> Content {
        Content::new(Shape { pattern, density, bits, granularity: 16 }, 3)
    }

    #[test]
    fn each_chunk_has_its_number_of_bits() {
        for pattern in PATTERNS {
            for density in [0, 1, 12, 64, 3000, 16_384, 32_700, CHUNK] {
                let content = content(pattern, density, 4 * CHUNK);
                let wanted = if pattern == Pattern::AllBut { CHUNK - density } else { density };
                for chunk in content.bytes().chunks(CHUNK as usize / 8) {
                    assert_eq!(ones(chunk), wanted, "{pattern:?} {density}");
                }
                assert_eq!(content.shape.ones(), 4 * wanted);
            }
        }
    }

    #[test]
    fn a_small_bitmap_has_its_share() {
        assert_eq!(ones(&content(Pattern::Random, 100, CHUNK / 2).bytes()), 50);
        assert_eq!(ones(&content(Pattern::Random, 1, CHUNK / 2).bytes()), 1);
        assert_eq!(ones(&content(Pattern::Random, 0, CHUNK / 2).bytes()), 0);
    }

    #[test]
    fn patterns_are_what_they_say() {
        assert_eq!(runs(&content(Pattern::Runs, 48, CHUNK).bytes()), 1);
        assert_eq!(runs(&content(Pattern::EveryNth, 300, CHUNK).bytes()), 300);
        let gaps: HashSet<u64> = {
            let mut bits = content(Pattern::EveryNth, 64, CHUNK).set_bits(64);
            bits.sort_unstable();
            bits.windows(2).map(|pair| pair[1] - pair[0]).collect()
        };
        assert_eq!(gaps, HashSet::from([512]));
    }

    #[test]
    fn samples_are_distinct_and_of_the_right_kind() {
        for pattern in PATTERNS {
            for limit in [7, 100_000] {
                let content = content(pattern, 100, 8 * CHUNK);
                let bytes = content.bytes();
                let get = |bit: &u64| bytes[(bit / 8) as usize] >> (bit % 8) & 1;
                for (value, bits) in [(1, content.set_bits(limit)), (0, content.clear_bits(limit))]
                {
                    assert!(bits.iter().all(|bit| get(bit) == value), "{pattern:?}");
                    let distinct: HashSet<_> = bits.iter().collect();
                    let all = if value == 1 {
                        content.shape.ones()
                    } else {
                        8 * CHUNK - content.shape.ones()
                    };
                    assert_eq!(
                        (distinct.len(), bits.len() as u64),
                        (bits.len(), limit.min(all)),
                        "{pattern:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn seeds_make_different_contents() {
        let shape =
            Shape { pattern: Pattern::Random, density: 100, bits: 8 * CHUNK, granularity: 16 };
        assert_ne!(Content::new(shape, 1).bytes(), Content::new(shape, 2).bytes());
        assert_eq!(Content::new(shape, 1).bytes(), Content::new(shape, 1).bytes());
    }
}
