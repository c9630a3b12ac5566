//! Many runs of one experiment, on all cores. Each run has chance of its own, from the seed and its number: what comes out
//! does not depend on how many threads there are.

use std::ops::Range;
use std::{num::NonZero, thread};

use super::dice::Dice;

/// What each of the runs gives, in their order.
pub(crate) fn simulate<T: Send>(
    runs: u64,
    seed: u64,
    run: impl Fn(&mut Dice) -> T + Sync,
) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    simulate_on(threads as u64, runs, seed, run)
}

/// The same on so many threads.
pub(crate) fn simulate_on<T: Send>(
    threads: u64,
    runs: u64,
    seed: u64,
    run: impl Fn(&mut Dice) -> T + Sync,
) -> Vec<T> {
    let one = |number| run(&mut Dice::of_run(seed, number));
    let some = |numbers: Range<u64>| numbers.map(one).collect::<Vec<T>>();
    thread::scope(|scope| {
        let part = |k: u64| runs * k / threads..runs * (k + 1) / threads;
        let workers: Vec<_> = (0..threads)
            .map(|k| scope.spawn(move || some(part(k))))
            .collect();
        let results = workers
            .into_iter()
            .map(|worker| worker.join().expect("no run panics"));
        results.flatten().collect()
    })
}

/// How many of the runs did.
pub(crate) fn count<T>(runs: &[T], did: impl Fn(&T) -> bool) -> u64 {
    runs.iter().filter(|run| did(run)).count() as u64
}
