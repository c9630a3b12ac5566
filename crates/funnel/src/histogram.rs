//! Times as integer counts in logarithmic buckets, whose merge is exact.
//!
//! **Buckets.** Below 64 µs one bucket a µs; above, 64 buckets an octave (the layout of HdrHistogram, Tene 2012). A bucket
//! is at most 1/64 of its least value wide and a quantile is its middle, so the relative error is at most 1/128 < 0.8 %.
//! The exact least and greatest are kept beside and bound every quantile: none is ever above the window.
//!
//! **Memory.** A tally has two of these per segment and step, so nothing is laid out ahead: sorted (bucket, count) pairs,
//! and new times wait unsorted in a short buffer. What a histogram holds depends only on the times put in.

/// Buckets an octave, as a power of two.
const OCTAVE_BITS: u32 = 6;
const OCTAVE: u64 = 1 << OCTAVE_BITS;

/// New times that may wait to be sorted in.
const WAITING: usize = 256;

/// Counts of times in µs.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    counts: Vec<(u16, u64)>,
    waiting: Vec<u16>,
    count: u64,
    range: Option<(u64, u64)>,
}

impl Histogram {
    /// Adds one time, µs.
    pub fn update(&mut self, time_us: u64) {
        self.waiting.push(bucket(time_us));
        self.count += 1;
        self.widen(time_us, time_us);
        if self.waiting.len() >= WAITING {
            self.sort_in();
        }
    }

    /// Adds all times of another.
    pub fn merge(&mut self, other: &Histogram) {
        self.sort_in();
        for &(bucket, count) in &other.counts {
            add(&mut self.counts, bucket, count);
        }
        for &bucket in &other.waiting {
            add(&mut self.counts, bucket, 1);
        }
        self.count += other.count;
        if let Some((least, greatest)) = other.range {
            self.widen(least, greatest);
        }
    }

    /// How many times were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The greatest time, exact, µs.
    pub fn max_us(&self) -> Option<u64> {
        self.range.map(|(_, greatest)| greatest)
    }

    /// The `percent`-th percentile, µs, within 0.8 %: the time that `percent` in a hundred do not exceed (nearest rank).
    /// None without times. Above 100 is 100.
    pub fn percentile_us(&self, percent: u32) -> Option<u64> {
        let (least, greatest) = self.range?;
        let wanted = u128::from(self.count) * u128::from(percent.min(100));
        let mut passed = 0_u128;
        let counts = self.counts();
        let found = counts.iter().find(|&&(_, count)| {
            passed += u128::from(count);
            passed * 100 >= wanted
        });
        let &(bucket, _) = found.expect("all times are at most the greatest");
        Some(middle(bucket).clamp(least, greatest))
    }

    /// The buckets that hold something: (least value µs, first value past it µs, count), ascending.
    pub fn buckets(&self) -> Vec<(u64, u64, u64)> {
        let bounds = |bucket| (floor(bucket), floor(bucket).saturating_add(width(bucket)));
        self.counts()
            .iter()
            .map(|&(b, count)| (bounds(b).0, bounds(b).1, count))
            .collect()
    }

    fn counts(&self) -> Vec<(u16, u64)> {
        let mut settled = self.clone();
        settled.sort_in();
        settled.counts
    }

    fn widen(&mut self, least: u64, greatest: u64) {
        let (low, high) = self.range.unwrap_or((least, greatest));
        self.range = Some((low.min(least), high.max(greatest)));
    }

    fn sort_in(&mut self) {
        self.waiting.sort_unstable();
        for run in self.waiting.chunk_by(|a, b| a == b) {
            add(&mut self.counts, run[0], run.len() as u64);
        }
        self.waiting.clear();
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Histogram) -> bool {
        self.range == other.range && self.counts() == other.counts()
    }
}

impl Eq for Histogram {}

fn add(counts: &mut Vec<(u16, u64)>, bucket: u16, count: u64) {
    match counts.binary_search_by_key(&bucket, |&(b, _)| b) {
        Ok(at) => counts[at].1 += count,
        Err(at) => counts.insert(at, (bucket, count)),
    }
}

fn bucket(time_us: u64) -> u16 {
    let octave = time_us
        .checked_ilog2()
        .map_or(0, |top| top.saturating_sub(OCTAVE_BITS));
    // The top 7 bits: below one octave the value itself, above it 64..128.
    let index = u64::from(octave) * OCTAVE + (time_us >> octave);
    u16::try_from(index).expect("58 octaves of 64, and 128 more")
}

/// The octave of a bucket, and its value's top bits.
fn parts(bucket: u16) -> (u32, u64) {
    let index = u64::from(bucket);
    if index < 2 * OCTAVE {
        return (0, index);
    }
    let octave = index / OCTAVE - 1;
    (
        u32::try_from(octave).expect("at most 58"),
        index - octave * OCTAVE,
    )
}

fn floor(bucket: u16) -> u64 {
    let (octave, top) = parts(bucket);
    top << octave
}

fn width(bucket: u16) -> u64 {
    1 << parts(bucket).0
}

fn middle(bucket: u16) -> u64 {
    floor(bucket) + width(bucket) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(times: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        times.iter().for_each(|&time| histogram.update(time));
        histogram
    }

    #[test]
    fn every_time_lies_in_its_bucket_from_zero_to_the_end_of_time() {
        let edges = (0..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1_u64]);
        for time in edges.chain([u64::MAX, u64::MAX - 1]) {
            let b = bucket(time);
            assert!(
                floor(b) <= time && time - floor(b) < width(b),
                "{time} in bucket {b}"
            );
        }
    }

    #[test]
    fn percentiles_of_nothing_are_nothing() {
        assert_eq!(of(&[]).percentile_us(50), None);
        assert_eq!(of(&[7]).percentile_us(0), Some(7));
        assert_eq!(of(&[1, 2, 3, 4]).percentile_us(50), Some(2));
        assert_eq!(of(&[1, 2, 3, 4]).percentile_us(100), Some(4));
    }

    proptest! {
        #[test]
        fn percentiles_are_within_one_percent_of_the_sorted_times(
            mut times in prop::collection::vec(0..200_000_000_000_u64, 1..600), percent in 1..=100_u32,
        ) {
            let got = of(&times).percentile_us(percent).unwrap();
            times.sort_unstable();
            let rank = (times.len() * percent as usize).div_ceil(100);
            let exact = times[rank - 1];
            prop_assert!(got.abs_diff(exact) * 100 <= exact, "{got} for {exact}");
            prop_assert!(got <= *times.last().unwrap());
        }

        #[test]
        fn parts_merge_to_the_whole_in_any_order(
            times in prop::collection::vec(any::<u64>(), 0..600), cut in 0..600_usize,
        ) {
            let (left, right) = times.split_at(cut.min(times.len()));
            let mut forth = of(left);
            forth.merge(&of(right));
            let mut back = of(right);
            back.merge(&of(left));
            prop_assert_eq!(&forth, &of(&times));
            prop_assert_eq!(&back, &of(&times));
            prop_assert_eq!(forth.buckets().iter().map(|b| b.2).sum::<u64>(), times.len() as u64);
        }
    }
}
