//! How long subjects were followed, and which converted when: the integer counts behind `rate_expected` (rule 16), from
//! which Kaplan–Meier is computed at the end.
//!
//! A subject is followed from its clock's start to the watermark, at most to the window's end. It *converted* at the time
//! of its last step, if the watermark had passed it; else it is *censored* where the watermark stands. A conversion the
//! watermark has not passed is censored there too, because a subject of the same age that has not converted is known no
//! further: counting the one and not the other would favour the fast. Subjects followed to the window's end without
//! converting are `followed_to_end`.
//!
//! **Exactness.** Up to [`FOLLOW_MOMENTS`] different times are kept to the µs, and Kaplan–Meier is exact. Past that all times
//! are rounded down to a multiple of the least power of two that brings them under the limit again. Inside one such moment
//! conversions come before censoring (the usual convention), so a censored subject counts as at risk at most one moment too
//! long: the rate errs downward, by less than (window ÷ 4096)'s worth of hazard. The rounding is a function of the set of
//! times alone (a part never needs a coarser one than the whole), so merging is exact in any order.

/// Different times kept before they are rounded.
pub const FOLLOW_MOMENTS: usize = 4096;

/// New times that may wait to be sorted in: as many as there can be in order, so that sorting stays cheap per time.
const WAITING: usize = FOLLOW_MOMENTS;

/// What happened at one time after the clock's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Time since the clock's start, µs.
    pub at_us: u64,
    /// Subjects that converted then.
    pub converted: u64,
    /// Subjects whose following ended then, before the window's end, without a conversion.
    pub censored: u64,
}

/// Mergeable counts of conversions and censorings by time since the clock's start.
#[derive(Debug, Clone, Default)]
pub struct Follow {
    moments: Vec<Moment>,
    waiting: Vec<Moment>,
    /// Times are multiples of 2^this, µs.
    coarse_bits: u32,
    followed_to_end: u64,
}

impl Follow {
    /// A subject that converted `at_us` after its clock's start.
    pub fn converted(&mut self, at_us: u64) {
        self.wait(Moment {
            at_us,
            converted: 1,
            censored: 0,
        });
    }

    /// A subject last known `at_us` after its clock's start, before the window's end.
    pub fn censored(&mut self, at_us: u64) {
        self.wait(Moment {
            at_us,
            converted: 0,
            censored: 1,
        });
    }

    /// A subject followed to the window's end that did not convert.
    pub fn to_end(&mut self) {
        self.followed_to_end += 1;
    }

    /// Adds all subjects of another.
    pub fn merge(&mut self, other: &Follow) {
        self.coarse_bits = self.coarse_bits.max(other.coarse_bits);
        self.waiting.extend_from_slice(&other.moments);
        self.waiting.extend_from_slice(&other.waiting);
        self.sort_in();
        self.followed_to_end += other.followed_to_end;
    }

    /// The moments, ascending in time.
    pub fn moments(&self) -> Vec<Moment> {
        self.settled().moments
    }

    /// Subjects at risk to the window's end: followed so far, not converted.
    pub fn followed_to_end(&self) -> u64 {
        self.followed_to_end
    }

    /// How coarse the times are: 1 µs when exact, else the rounding's step in µs.
    pub fn resolution_us(&self) -> u64 {
        1 << self.settled().coarse_bits
    }

    /// The same with its times rounded down to a multiple of this power of two, µs, unless they are already coarser: what is
    /// compared with another is rounded alike, or the finer of the two would seem the slower.
    #[must_use]
    pub fn coarsened(&self, resolution_us: u64) -> Follow {
        let mut coarse = self.settled();
        coarse.coarse_bits = coarse.coarse_bits.max(resolution_us.max(1).ilog2());
        coarse.round();
        coarse
    }

    fn settled(&self) -> Follow {
        let mut settled = self.clone();
        settled.sort_in();
        settled
    }

    fn wait(&mut self, moment: Moment) {
        self.waiting.push(moment);
        if self.waiting.len() >= WAITING {
            self.sort_in();
        }
    }

    fn sort_in(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        self.moments.append(&mut self.waiting);
        self.round();
        while self.moments.len() > FOLLOW_MOMENTS {
            self.coarse_bits += 1;
            self.round();
        }
    }

    fn round(&mut self) {
        for moment in &mut self.moments {
            moment.at_us = moment.at_us >> self.coarse_bits << self.coarse_bits;
        }
        self.moments.sort_unstable_by_key(|moment| moment.at_us);
        self.moments.dedup_by(|next, kept| {
            let same = next.at_us == kept.at_us;
            if same {
                kept.converted += next.converted;
                kept.censored += next.censored;
            }
            same
        });
    }
}

impl PartialEq for Follow {
    fn eq(&self, other: &Follow) -> bool {
        let (left, right) = (self.settled(), other.settled());
        left.followed_to_end == right.followed_to_end
            && left.coarse_bits == right.coarse_bits
            && left.moments == right.moments
    }
}

impl Eq for Follow {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(times: &[(u64, bool)]) -> Follow {
        let mut follow = Follow::default();
        for &(at_us, converted) in times {
            match converted {
                true => follow.converted(at_us),
                false => follow.censored(at_us),
            }
        }
        follow
    }

    #[test]
    fn times_are_exact_up_to_the_limit_and_rounded_past_it() {
        let spaced = |n: u64| (0..n).map(|i| (i * 1_000, i % 2 == 0)).collect::<Vec<_>>();
        let at_limit = of(&spaced(4096));
        assert_eq!(
            (at_limit.resolution_us(), at_limit.moments().len()),
            (1, 4096)
        );
        let past = of(&spaced(4097));
        assert!(past.resolution_us() > 1 && past.moments().len() <= 4096);
        let total: u64 = past
            .moments()
            .iter()
            .map(|m| m.converted + m.censored)
            .sum();
        assert_eq!(total, 4097);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn parts_merge_to_the_whole_in_any_order(
            times in prop::collection::vec((0..1_000_000_u64, any::<bool>()), 0..12_000),
            cuts in prop::collection::vec(0..12_000_usize, 2),
        ) {
            let whole = of(&times);
            let mut cuts: Vec<usize> = cuts.iter().map(|&cut| cut.min(times.len())).collect();
            cuts.sort_unstable();
            let parts = [&times[..cuts[0]], &times[cuts[0]..cuts[1]], &times[cuts[1]..]].map(of);
            for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
                let mut merged = Follow::default();
                order.iter().for_each(|&part| merged.merge(&parts[part]));
                prop_assert_eq!(&merged, &whole);
            }
        }
    }
}
