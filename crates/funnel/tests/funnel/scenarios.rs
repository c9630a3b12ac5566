//! The scenarios of semantics.md that one subject can show, and what tallies make of many. The tables are read as
//! [`crate::table`] says.

use linkfunnel_funnel::{Error, Row, Scratch, Tally, Times, speak};

use crate::table::{each_table, funnel, line, table};

#[test]
fn basics() {
    table(
        "
        no data                              | A B within 9            |                 | no entry
        nobody enters                        | A B within 9            | -@1 -@2         | no entry
        only later steps done                | A B C within 9          | B@1 C@2         | no entry
        a one-step funnel equals its entries | A within 9              | A@3             | A@0 converted
        wrong order                          | A B C within 9          | A@0 C@1 B@2     | A@0 B@2 dropped
        unrelated events are ignored         | A B within 9            | A@0 -@1 -@1 B@2 | A@0 B@2 converted
        shuffled input equals sorted         | A B C within 9          | C@5 A@0 B@2     | A@0 B@2 C@5 converted
        entry before the range               | A B within 9 range 5..9 | A@4 B@6         | no entry
        entry at the range's end             | A B within 9 range 5..9 | A@9 B@9         | no entry
        entry at the range's start           | A B within 9 range 5..9 | A@5 B@9         | A@0 B@4 converted
        ",
    );
}

#[test]
fn repeats() {
    table(
        "
        A,B,A is still at B                           | A B C within 9 | A@0 B@1 A@2         | A@0 B@1 dropped
        completes, then revisits                      | A B within 9   | A@0 B@1 A@2 B@3     | A@0 B@1 converted
        A,B,A as three steps                          | A B A within 9 | A@0 B@1 A@2         | A@0 B@1 A@2 converted
        A,A,A needs three: one                        | A A A within 9 | A@0                 | A@0 dropped
        A,A,A needs three: two                        | A A A within 9 | A@0 A@0             | A@0 A@0 dropped
        A,A,A needs three: three                      | A A A within 9 | A@0 A@1 A@2         | A@0 A@1 A@2 converted
        an event matching two steps moves one         | A B within 9   | AB@0                | A@0 dropped
        and the next such event the other             | A B within 9   | AB@0 AB@1           | A@0 B@1 converted
        overlapping conditions                        | A B C within 9 | AB@0 BC@1 ABC@2     | A@0 B@1 C@2 converted
        several incomplete entries, the clock's times | A B C within 9 | A@0 A@5 B@6         | A@0 B@6 dropped
        D before C, then D again                      | A C D within 9 | A@0 D@1 C@2 D@3     | A@0 C@2 D@3 converted
        four searches and one cart                    | S C within 9   | S@0 S@1 S@2 S@3 C@4 | S@0 C@4 converted
        ",
    );
}

#[test]
fn time() {
    table(
        "
        exactly at the end                               | A B within 10                      | A@5 B@15                  | A@0 B@10 converted
        one µs later                                     | A B within 10                      | A@5 B@16                  | A@0 dropped
        zero window, same instant                        | A B within 0                       | A@5 B@5                   | A@0 B@0 converted
        zero window, one later                           | A B within 0                       | A@5 B@6                   | A@0 dropped
        staircase, window 2                              | A B C D E within 2                 | A@1 B@2 C@3 D@4 E@5       | A@0 B@1 C@2 dropped
        staircase, window 3                              | A B C D E within 3                 | A@1 B@2 C@3 D@4 E@5       | A@0 B@1 C@2 D@3 dropped
        staircase, window 4                              | A B C D E within 4                 | A@1 B@2 C@3 D@4 E@5       | A@0 B@1 C@2 D@3 E@4 converted
        99 years                                         | A B within 3124224000000000        | A@0 B@3124224000000000    | A@0 B@3124224000000000 converted
        99 years and one µs                              | A B within 3124224000000000        | A@0 B@3124224000000001    | A@0 dropped
        end of time                                      | A B within 9223372036854775807 range 0..9223372036854775807 | A@9 B@9223372036854775807 | A@0 B@9223372036854775798 converted early
        end of time, a window past it never ends         | A B within 9223372036854775807 range 0..9223372036854775807 | A@9                       | A@0 open
        a window as long as time, begun before the epoch | A B within 9223372036854775807 range -9..9 | A@-9 B@9                  | A@0 B@18 converted
        first entry too early, second in time: one clock | A B within 10                      | A@0 A@8 B@12              | A@0 dropped
        the last step alone is late                      | A B C within 10                    | A@0 B@5 C@11              | A@0 B@5 dropped
        completion after `to`                            | A B within 10 range 0..5           | A@4 B@9                   | A@0 B@5 converted
        ",
    );
    assert_eq!(funnel("A B within -1").rules, Err(Error::NegativeWindow));
}

#[test]
fn ties() {
    table(
        "
        A,B at the same instant                       | A B within 9                       | A@0 B@0                              | A@0 B@0 converted
        A,B at the same instant, arrived as B,A       | A B within 9                       | B@0 A@0                              | A@0 B@0 converted
        strict_increase refuses it                    | A B strict_increase within 9                | A@0 B@0                              | A@0 dropped
        strict_increase takes +1 µs                   | A B strict_increase within 9                | A@0 B@0 B@1                          | A@0 B@1 converted
        A@0,B@1,B@2,C@2 strict = 3                    | A B C strict_increase within 9              | A@0 B@1 B@2 C@2                      | A@0 B@1 C@2 converted
        A@0,B@2,C@2 strict = 2                        | A B C strict_increase within 9              | A@0 B@2 C@2                          | A@0 B@2 dropped
        ten steps inside one second with repeats      | A B C D E F G H I J within 1000000 | J@0 I@0 H@0 G@0 F@0 E@0 D@0 C@0 B@0 A@0 A@0 E@0 J@0 | A@0 B@0 C@0 D@0 E@0 F@0 G@0 H@0 I@0 J@0 converted
        step, duplicate at the same time, third later | A B C within 9                     | A@0 B@0 B@0 C@3                      | A@0 B@0 C@3 converted
        which event serves which step is found out    | A B C within 9                     | A@0 BC@1 B@1                         | A@0 B@1 C@1 converted
        in both arrival orders                        | A B C within 9                     | A@0 B@1 BC@1                         | A@0 B@1 C@1 converted
        a later entry at the clock's instant          | A B within 9                       | AB@0 A@0                             | A@0 B@0 converted
        a tie past the window                         | A B C within 5                     | A@0 B@5 C@6 C@6                      | A@0 B@5 dropped
        ",
    );
}

#[test]
fn optional_steps() {
    table(
        "
        skipping is not dropping                    | A O? B within 9        | A@0 B@2          | A@0 B@2 converted
        between its neighbours                      | A O? B within 9        | A@0 O@1 B@2      | A@0 O@1 B@2 converted
        before its neighbours                       | A B O? C within 9      | A@0 O@1 B@2 C@3  | A@0 B@2 C@3 converted
        after its neighbours                        | A O? B C within 9      | A@0 B@2 O@3 C@4  | A@0 B@2 C@4 converted
        same instant as a neighbour                 | A O? B within 9        | A@0 O@2 B@2      | A@0 O@2 B@2 converted
        after the last required step reached        | A O? B within 9        | A@0 O@9          | A@0 O@9 dropped
        not past the window                         | A O? B within 9        | A@0 O@10         | A@0 dropped
        not when the step before it was not reached | A B O? C within 9      | A@0 O@1          | A@0 dropped
        it does not anchor                          | A O? B within 9        | A@0 O@8 B@9      | A@0 O@8 B@9 converted
        it does not gate                            | A O? B within 9        | A@0 B@1 O@2 B@3  | A@0 B@1 converted
        two, in either order                        | A O? P? B within 9     | A@0 P@1 O@2 B@3  | A@0 O@2 P@1 B@3 converted
        two need two events                         | A O? P? B within 9     | A@0 OP@1 B@3     | A@0 O@1 B@3 converted
        two share by need                           | A O? P? B within 9     | A@0 OP@1 O@2 B@3 | A@0 O@2 P@1 B@3 converted
        one makes room at its own instant           | A O? P? B within 9     | A@0 OP@1 O@1 P@2 B@3 | A@0 O@1 P@1 B@3 converted
        an event the chain used does not count      | A O? B within 9        | A@0 OB@2         | A@0 B@2 converted
        nor blocks another                          | A O? B within 9        | A@0 OB@2 O@2     | A@0 O@2 B@2 converted
        the chain leaves what it can                | A O? B within 9        | A@0 OB@2 B@2     | A@0 O@2 B@2 converted
        strict_increase is for required steps       | A O? B strict_increase within 9 | A@0 O@0 B@1      | A@0 O@0 B@1 converted
        ",
    );
    assert_eq!(funnel("A? B within 9").rules, Err(Error::OptionalFirst));
    assert_eq!(funnel("A B? within 9").rules, Err(Error::OptionalLast));
}

#[test]
fn gaps() {
    table(
        "
        at the greatest gap                       | A B[..5] within 9            | A@0 B@5         | A@0 B@5 converted
        past the greatest gap                     | A B[..5] within 9            | A@0 B@6         | A@0 dropped
        at the least gap                          | A B[3..] within 9            | A@0 B@2 B@3     | A@0 B@3 converted
        a later entry does better                 | A B[..2] within 9            | A@0 A@5 B@6     | A@5 B@6 converted
        a later middle step does better           | A B C[..2] within 9          | A@0 B@1 B@5 C@7 | A@0 B@5 C@7 converted
        an earlier middle step does better        | A B C[4..] within 9          | A@0 B@1 B@5 C@6 | A@0 B@1 C@6 converted
        a least gap at the same instant           | A B[1..] within 9            | A@0 B@0         | A@0 dropped
        no gap at the same instant                | A B[..0] within 9            | A@0 B@0         | A@0 B@0 converted
        measured from the required step           | A O? B[..3] within 9         | A@0 O@2 B@4     | A@0 O@2 dropped
        the window still ends it                  | A B[..20] within 9           | A@0 B@10        | A@0 dropped
        a retry past `to` counts inside the clock | A B[..2] within 9 range 0..3 | A@0 A@5 B@6     | A@5 B@6 converted
        ",
    );
}

#[test]
fn states_and_outcomes() {
    table(
        "
        open at the watermark                          | A B within 10 watermark 14         | A@5         | A@0 open
        dropped as the watermark passes                | A B within 10 watermark 15         | A@5         | A@0 dropped
        converted early is not matured                 | A B within 10 watermark 14         | A@5 B@6     | A@0 B@1 converted early
        converted and matured                          | A B within 10 watermark 15         | A@5 B@6     | A@0 B@1 converted
        a late event converts                          | A B within 10 watermark 99         | A@5 B@7     | A@0 B@2 converted
        an exit leaves it open                         | A B within 10 outcomes x watermark 9 | A@0 x@1     | A@0 open (x)
        a retry after the clock's end does not convert | A B within 5                       | A@0 A@7 B@8 | A@0 dropped
        the first listed outcome                       | A B within 9 outcomes xy           | A@0 y@1 x@2 | A@0 dropped (x)
        an outcome before the entry                    | A B within 9 outcomes x            | x@0 A@1     | A@0 dropped
        an outcome at the entry's instant              | A B within 9 outcomes x            | x@1 A@1     | A@0 dropped (x)
        an outcome at the window's end                 | A B within 9 outcomes x            | A@0 x@9     | A@0 dropped (x)
        an outcome after the window                    | A B within 9 outcomes x            | A@0 x@10    | A@0 dropped
        an outcome of one who converted                | A B within 9 outcomes x            | A@0 x@1 B@2 | A@0 B@2 converted
        an outcome may be a step too                   | A B C within 9 outcomes x          | A@0 Bx@1    | A@0 B@1 dropped (x)
        ",
    );
}

#[test]
fn all_entries() {
    table(
        "
        A,A,A,B is one entry         | A B all within 9            | A@0 A@1 A@2 B@3   | A@0 B@3 converted
        a new one after a conversion | A B all within 9            | A@0 B@1 A@2 B@3   | A@0 B@1 converted / A@0 B@1 converted
        strictly after it            | A B all within 9            | A@0 B@1 A@1 B@3   | A@0 B@1 converted
        a new one after the window   | A B all within 5            | A@0 A@5 A@6 B@7   | A@0 dropped / A@0 B@1 converted
        none past the range          | A B all within 2 range 0..9 | A@0 A@8 A@20 B@20 | A@0 dropped / A@0 dropped
        cohort has one               | A B within 5                | A@0 A@5 A@6 B@7   | A@0 dropped
        ",
    );
}

#[test]
fn breakdown_by_each_value_chosen() {
    each_table(
        "
        never chosen                                         | A P L within 100 outcomes x | A@0 -@1                              | (before choice): A@0 dropped
        xero fails, then sage links                          | A P L within 100 outcomes x | A@0 P@1=xero x@2=xero P@3=sage L@4=sage | xero: A@0 P@1 dropped (x) / sage: A@0 P@3 L@4 converted
        a value is held constant                             | A P L within 100 outcomes x | A@0 P@1=xero L@4=sage                | xero: A@0 P@1 dropped / sage: A@0 dropped
        an event without a value fits every value            | A P L within 100 outcomes x | A@0 P@1=xero P@2=sage L@3            | xero: A@0 P@1 L@3 converted / sage: A@0 P@2 L@3 converted
        a value chosen after the window is not chosen        | A P L within 5              | A@0 P@1=xero P@6=sage                | xero: A@0 P@1 dropped
        a value chosen before the entry is not chosen        | A P L within 100 outcomes x | P@0=sage A@1 P@2=xero                | xero: A@0 P@1 dropped
        times run from the subject's own clock               | A P L within 100 outcomes x | A@0=xero A@5=sage P@6=sage L@7=sage  | xero: A@0 dropped / sage: A@5 P@6 L@7 converted
        and so does the window                               | A P L within 6              | A@0=xero A@5=sage P@6=sage L@7=sage  | xero: A@0 dropped / sage: A@5 P@6 dropped
        a value whose first step was another's never entered | A P L within 100 outcomes x | A@0=xero P@1=sage                    | xero: A@0 dropped / sage: no entry
        ",
    );
}

#[test]
fn twenty_noise_values_do_not_push_out_the_real_one() {
    let noise: String = (1..=20).map(|i| format!("P@{i}=noise{i} ")).collect();
    let expected: String = (1..=20)
        .map(|i| format!("noise{i}: A@0 P@{i} dropped / "))
        .collect();
    each_table(&format!(
        "noise | A P L within 99 | A@0 {noise} P@50=xero L@60=xero | {expected}xero: A@0 P@50 L@60 converted"
    ));
}

/// 10 subjects enter one a µs; 7 in 10 convert, the slow ones late in the window of 10.
fn young_cohort(watermark_us: i64) -> Tally {
    let funnel = funnel(&format!("A B within 10 watermark {watermark_us}"));
    let rules = funnel.rules.as_ref().unwrap();
    let (mut tally, mut scratch) = (Tally::new(rules, Times::LeftOut), Scratch::default());
    for subject in (0..1000).filter(|subject| *subject <= watermark_us) {
        let after = [1, 1, 2, 2, 3, 9, 10].get(usize::try_from(subject * 7 % 10).unwrap());
        let mut rows = vec![Row::step(subject, 0)];
        if let Some(after) = after.filter(|after| subject + **after <= watermark_us) {
            rows.push(Row::step(subject + after, 1));
        }
        let entry = speak(rules, &rows, &funnel.span, &mut scratch).unwrap();
        tally.update(rules, &entry.unwrap());
    }
    tally
}

#[test]
fn the_matured_rate_of_a_young_cohort_is_the_true_one() {
    for watermark_us in [109, 209, 509, 999] {
        let tally = young_cohort(watermark_us);
        assert!(tally.open > 0, "some still run at {watermark_us}");
        assert_eq!(
            tally.matured_converted * 10,
            tally.matured_entered * 7,
            "{watermark_us}"
        );
        // What a naive rate would say: too much.
        assert!(tally.converted * 10 > (tally.converted + tally.dropped) * 7);
    }
    let over = young_cohort(5_000);
    assert_eq!((over.open, over.converted, over.dropped), (0, 700, 300));
}

#[test]
fn open_subjects_are_followed_to_the_watermark() {
    let funnel = funnel("A B within 10 watermark 24");
    let rules = funnel.rules.as_ref().unwrap();
    let mut tally = Tally::new(rules, Times::LeftOut);
    let mut scratch = Scratch::default();
    for events in [
        "A@0 B@4",
        "A@1",
        "A@20",
        "A@22 B@23",
        "A@20 B@26",
        "A@25 B@25",
        "A@24",
    ] {
        let line = line(&funnel, events);
        let entry = speak(rules, line.events(), &funnel.span, &mut scratch).unwrap();
        tally.update(rules, &entry.unwrap());
    }
    let moments = tally.follow.moments();
    let counts: Vec<_> = moments
        .iter()
        .map(|m| (m.at_us, m.converted, m.censored))
        .collect();
    // A@24 is followed for no time at all; A@20 and the one that converts past the watermark for 4; A@25 never.
    assert_eq!(counts, [(0, 0, 1), (1, 1, 0), (4, 1, 2)]);
    assert_eq!(
        (tally.follow.followed_to_end(), tally.matured_entered),
        (1, 2)
    );
}
