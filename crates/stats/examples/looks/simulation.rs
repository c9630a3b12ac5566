//! A/A experiments: both arms have one rate, and whoever calls a difference is wrong.

use linkfunnel_stats::{Counts, Effect, Level, PHI, Plan, Sequence, compare};

/// Looks a run, the last at the planned end.
pub(crate) const LOOKS: usize = 20;

/// Units of each arm between two looks.
pub(crate) const UNITS_A_LOOK: u64 = 250;

/// How many runs called a difference that is not there, by the way of looking.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Alarms {
    /// The fixed test, read once, at the planned end.
    pub(crate) fixed: u64,
    /// The planned looks, all of them.
    pub(crate) planned: u64,
    /// The continuous method, read at every look.
    pub(crate) continuous: u64,
    /// The fixed test misused: read at every look.
    pub(crate) peeked: u64,
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    /// How many of `units` succeed at a rate in 2^-32.
    fn successes(&mut self, units: u64, rate: u64) -> u64 {
        let succeeds = |_: &u64| {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (bits ^ (bits >> 31)) >> 32 < rate
        };
        (0..units).filter(succeeds).count() as u64
    }
}

/// Runs `runs` experiments at a rate of so many percent.
pub(crate) fn alarms(percent: u64, runs: u64, seed: u64) -> Alarms {
    let level = Level::default();
    let plan = Plan::equal(LOOKS, level, PHI).expect("twenty equal looks are a plan");
    let rate = (percent << 32) / 100;
    let mut dice = Dice(seed);
    let mut alarms = Alarms::default();
    for _ in 0..runs {
        let (mut one, mut zero) = (Counts::default(), Counts::default());
        let (mut fixed, mut planned, mut continuous, mut peeked) = (false, false, false, false);
        for look in 0..LOOKS {
            for arm in [&mut one, &mut zero] {
                let successes = dice.successes(UNITS_A_LOOK, rate);
                let more = Counts::new(successes, UNITS_A_LOOK).expect("some of all");
                *arm = arm.merge(more).expect("few units");
            }
            let result = compare(one, zero, level).expect("both have units");
            fixed = result.p < level.alpha();
            peeked |= fixed;
            planned |= result.z.abs() >= plan.boundaries()[look];
            let looked = Effect::of_rates(one, zero).map(|effect| Sequence::default().look(effect));
            continuous |= looked.is_ok_and(|looked| looked.p < level.alpha());
        }
        alarms.fixed += u64::from(fixed);
        alarms.planned += u64::from(planned);
        alarms.continuous += u64::from(continuous);
        alarms.peeked += u64::from(peeked);
    }
    alarms
}
