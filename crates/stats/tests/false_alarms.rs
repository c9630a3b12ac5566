//! Experiments without an effect: how often each way of looking calls one. The table is written by the example `looks`.

#[path = "../examples/looks/simulation.rs"]
mod simulation;

#[test]
fn twenty_looks_make_at_most_one_false_alarm_in_eighteen_and_peeking_makes_five() {
    let (runs, seed) = (10_000, 1);
    println!("seed {seed}");
    for percent in [2, 12, 50, 80] {
        let alarms = simulation::alarms(percent, runs, seed);
        let most = runs * 55 / 1_000;
        assert!(alarms.fixed <= most, "{percent} %: {alarms:?}");
        assert!(alarms.planned <= most, "{percent} %: {alarms:?}");
        assert!(alarms.continuous <= most, "{percent} %: {alarms:?}");
        assert!(alarms.peeked > runs / 5, "{percent} %: {alarms:?}");
        let spends = alarms.fixed.min(alarms.planned);
        assert!(
            spends > runs * 4 / 100,
            "not for want of power, {percent} %: {alarms:?}"
        );
    }
}
