//! Scenarios of semantics.md beyond plain order: strict, unordered, exclusions, held fields, `best`, what a provider cannot
//! show, reasons. The tables are read as [`crate::table`] says.

use linkfunnel_funnel::Error;

use crate::table::{each_table, funnel, table};

#[test]
fn strict() {
    table(
        "
        an unrelated event between does not break     | A B strict within 9           | A@0 -@1 B@2         | A@0 B@2 converted
        one in scope does                             | A B strict scope all within 9 | A@0 -@1 B@2         | A@0 dropped
        unrelated before the entry does not           | A B strict scope all within 9 | -@0 A@1 B@2         | A@0 B@1 converted
        a level jump breaks                           | A B C strict within 9         | A@0 C@1 B@2         | A@0 dropped
        a repeat of the step before is another event  | A B C strict within 9         | A@0 B@1 B@2 C@3     | A@0 B@1 dropped
        a later clean entry converts                  | A B strict within 9           | A@0 A@1 B@2         | A@1 B@2 converted
        by the clock of the first                     | A B strict within 9           | A@0 A@8 B@10        | A@0 dropped
        a later clean entry, whole                    | A B C strict within 9         | A@0 C@1 A@2 B@3 C@4 | A@2 B@3 C@4 converted
        a tie with an unrelated event                 | A B strict scope all within 9 | A@0 -@0 -@2 B@2     | A@0 B@2 converted
        a tie with an event in scope                  | A B C strict within 9         | A@0 C@1 B@1         | A@0 B@1 C@1 converted
        an optional step between does not break       | A O? B strict within 9        | A@0 O@1 B@2         | A@0 O@1 B@2 converted
        nor twice                                     | A O? B strict within 9        | A@0 O@1 O@2 B@3     | A@0 O@1 B@3 converted
        an optional step elsewhere does               | A O? B C strict within 9      | A@0 B@1 O@2 C@3     | A@0 B@1 dropped
        an event past the last match breaks nothing   | A B C strict within 9         | A@0 B@1 A@2         | A@0 B@1 dropped
        every entry has its own chance                | A B all strict within 2       | A@0 -@1 B@2 A@5 A@6 B@7 | A@0 B@2 converted / A@1 B@2 converted
        ",
    );
}

#[test]
fn unordered() {
    table(
        "
        any permutation                          | A B C unordered within 9     | C@0 A@1 B@2         | A@0 B@1 C@2 converted
        the window runs from the earliest        | A B C unordered within 2     | C@0 A@1 B@3         | A@0 B@1 dropped
        exactly at its end                       | A B C unordered within 3     | C@0 A@1 B@3         | A@0 B@1 C@3 converted
        an event fills one step only             | A B unordered within 9       | AB@0                | A@0 dropped
        two fill two                             | A B unordered within 9       | AB@0 AB@1           | A@0 B@1 converted
        one makes room for another               | A B unordered within 9       | AB@0 A@1            | A@0 B@1 converted
        repeats fill nothing                     | A B unordered within 9       | A@0 A@1 A@2         | A@0 dropped
        the same instant                         | A B unordered within 0       | B@5 A@5             | A@0 B@0 converted
        pinned: the first step is first          | A B C pinned within 9        | C@0 A@1 B@2         | A@0 B@1 dropped
        pinned: the rest in any order            | A B C pinned within 9        | A@0 C@1 B@2         | A@0 B@1 C@2 converted
        pinned: not entered                      | A B C pinned within 9        | C@0 B@2             | no entry
        pinned: it must be the one at the clock  | A B pinned within 9          | AB@0 A@1            | A@0 dropped
        all: the next entry after the conversion | A B unordered all within 9   | B@0 A@1 A@2 B@3     | A@0 B@1 converted / A@0 B@1 converted
        best: a later window does better         | A B C unordered best within 3 | A@0 A@5 C@6 B@7    | A@0 B@1 C@2 converted
        best: the earliest to complete           | A B unordered best within 3  | A@0 B@3 A@10 B@11   | A@0 B@3 converted
        ",
    );
    for refused in [
        "A B[..2] unordered within 9",
        "A O? B unordered within 9",
        "A B unordered exclude x 1..2 within 9",
        "A B unordered strict_increase within 9",
        "A B unordered hold 1 within 9",
    ] {
        let error = funnel(refused).rules;
        assert!(
            matches!(error, Err(Error::NotUnordered { .. })),
            "{refused}"
        );
    }
}

#[test]
fn exclusions() {
    table(
        "
        between                                       | A B exclude x 1..2 within 9            | A@0 x@1 B@2             | A@0 dropped
        a second way round it                         | A B C exclude x 2..3 within 9          | A@0 B@1 x@2 B@3 C@4     | A@0 B@3 C@4 converted
        in another range                              | A B C exclude x 2..3 within 9          | A@0 x@1 B@2 C@3         | A@0 B@2 C@3 converted
        over more than one step                       | A B C exclude x 1..3 within 9          | A@0 B@1 x@2 C@3         | A@0 B@1 dropped
        at the instant of a step it does not block    | A B exclude x 1..2 within 9            | A@0 x@0 x@2 B@2         | A@0 B@2 converted
        a step may be excluded elsewhere              | A B C exclude A 2..3 within 9          | A@0 B@1 A@2 C@3         | A@0 B@1 dropped
        after the window                              | A B exclude x 1..2 within 9            | A@0 B@9 x@10            | A@0 B@9 converted
        excluded, then clean                          | A B exclude x 1..2 within 9            | A@0 x@1 A@2 B@3         | A@2 B@3 converted
        excluded twice                                | A B exclude x 1..2 within 9            | A@0 x@1 A@2 x@3 B@4     | A@0 dropped
        two in one range                              | A B exclude x 1..2 exclude y 1..2 within 9 | A@0 y@1 A@2 B@3 x@4 | A@2 B@3 converted
        steps before it count                         | A B C exclude x 2..3 within 9          | A@0 B@1 x@2 C@3         | A@0 B@1 dropped
        day 2 leaves day 1 alone                      | A B exclude x 1..2 all within 2        | A@0 B@1 A@10 x@11 B@12  | A@0 B@1 converted / A@0 dropped
        not over an optional step either              | A O? B exclude x 1..3 within 9         | A@0 O@1 x@2 B@3         | A@0 O@1 dropped
        discarded                                     | A B exclude x 1..2 discard within 9    | A@0 x@1 A@2 B@3         | discarded
        discarded though it never came to the second  | A B exclude x 1..2 discard within 9    | A@0 x@1                 | discarded
        kept: after it                                | A B exclude x 1..2 discard within 9    | A@0 B@1 x@2             | A@0 B@1 converted
        kept: past the window                         | A B exclude x 1..2 discard within 9    | A@0 x@10                | A@0 dropped
        ",
    );
    for outside in [
        "A B exclude x 1..3 within 9",
        "A B exclude x 2..1 within 9",
        "A B exclude x 1..1 within 9",
        "A O? B exclude x 1..2 within 9",
    ] {
        let error = funnel(outside).rules;
        assert_eq!(
            error,
            Err(Error::ExclusionOutside { exclusion: 0 }),
            "{outside}"
        );
    }
}

#[test]
fn held_fields() {
    table(
        "
        the same value                                  | A B hold 1 within 9              | A@0=xero B@1=xero                | A@0 B@1 converted
        another value                                   | A B hold 1 within 9              | A@0=xero B@1=sage                | A@0 dropped
        one that lacks it fits                          | A B C hold 1 within 9            | A@0 B@1=xero C@2                 | A@0 B@1 C@2 converted
        bound by the first that has it                  | A B C hold 1 within 9            | A@0 B@1=xero C@2=sage            | A@0 B@1 dropped
        the way that gets furthest                      | A B C hold 1 within 9            | A@0 B@1=xero B@2=sage C@3=sage   | A@0 B@2 C@3 converted
        two fields                                      | A B hold 2 within 9              | A@0=xero,s1 B@1=xero,s2          | A@0 dropped
        two fields, told in turn                        | A B C hold 2 within 9            | A@0=xero B@1=_,s1 C@2=xero,s1    | A@0 B@1 C@2 converted
        an exclusion with another value does not count  | A B hold 1 exclude x 1..2 within 9 | A@0=xero x@1=sage B@2=xero     | A@0 B@2 converted
        with the same it does                           | A B hold 1 exclude x 1..2 within 9 | A@0=xero x@1=xero B@2=xero     | A@0 dropped
        an optional step with another value             | A O? B hold 1 within 9           | A@0=xero O@1=sage B@2=xero       | A@0 B@2 converted
        scope with another value                        | A B C strict hold 1 within 9     | A@0=xero C@1=sage B@2=xero       | A@0 B@2 dropped
        who holds nothing is excused nothing            | A B hold 1 exclude x 1..2 within 9 | A@0 x@1=sage B@2               | A@0 dropped
        nor by an event that it does not use            | A B hold 1 exclude x 1..2 within 9 | A@0 x@1=sage B@2 A@3=xero      | A@0 dropped
        excused by what is told later                   | A B hold 1 exclude x 1..2 within 9 | A@0 x@1=sage B@2=xero          | A@0 B@2 converted
        a later event that tells it                     | A B hold 1 exclude x 1..2 within 9 | A@0 x@1=sage B@2 B@4=xero      | A@0 B@4 converted
        an earlier one that tells it                    | A B hold 1 exclude x 1..2 within 9 | A@0=xero A@1 x@2=sage B@3      | A@0 B@3 converted
        an optional step excuses nothing                | A O? B hold 1 exclude x 1..3 within 9 | A@0 O@1=xero x@2=sage B@3   | A@0 O@1 dropped
        of two fields one is not told                   | A B hold 2 exclude x 1..2 within 9 | A@0=xero x@1=xero,s1 B@2=xero B@3=xero,s2 | A@0 B@3 converted
        nobody tells the second                         | A B hold 2 exclude x 1..2 within 9 | A@0=xero x@1=xero,s1 B@2=xero A@3=xero,s2 | A@0 dropped
        scope, told by the last step                    | A B C strict hold 1 within 9     | A@0 C@1=sage B@2 C@3=xero        | A@0 B@2 C@3 converted
        scope, not told                                 | A B C strict hold 1 within 9     | A@0 C@1=sage B@2 A@3=xero        | A@0 dropped
        an optional event with another value breaks nothing | A O? B strict scope all hold 1 within 9 | A@0 -@1=sage B@2 A@3 O@4=xero O@5=sage B@6 | A@3 O@4 B@6 converted
        events of optional steps agree with each other  | A O? P? B strict scope all hold 1 within 9 | A@0 -@1=sage B@2 A@3 O@4=sage P@5=xero B@6 | A@3 O@4 B@6 converted
        discarded by what agrees                        | A B hold 1 exclude x 1..2 discard within 9 | A@0 x@1=sage B@2       | discarded
        not by another value                            | A B hold 1 exclude x 1..2 discard within 9 | A@0=xero x@1=sage B@2  | A@0 B@2 converted
        not by what is past the entry's window          | A B exclude x 1..2 discard best hold 1 within 5 | A@0 A@0=xero x@3=sage x@7=xero | A@0 dropped
        as early, and not discarded                     | A B hold 1 exclude x 1..2 discard within 9 | A@0 A@0=xero x@1=sage B@2 | A@0 B@2 converted
        ",
    );
}

#[test]
fn best_entry() {
    table(
        "
        a retry after the first window converts       | A B best within 5                  | A@0 A@7 B@8            | A@0 B@1 converted
        which cohort does not                         | A B within 5                       | A@0 A@7 B@8            | A@0 dropped
        the furthest, though it came later            | A B C best within 3                | A@0 B@1 A@10 B@11 C@12 | A@0 B@1 C@2 converted
        of equals the earliest to complete            | A B best within 3                  | A@0 B@1 A@10 B@10      | A@0 B@1 converted
        of those the earliest entry                   | A B best within 9                  | A@0 A@1 B@2            | A@0 B@2 converted
        whose window holds it                         | A B best within 2                  | A@0 A@1 B@3            | A@0 B@2 converted
        open while the last entry's window runs       | A B best within 5 watermark 10     | A@0 A@7                | A@0 open
        dropped when it is over                       | A B best within 5 watermark 12     | A@0 A@7                | A@0 dropped
        an entry past the range does not count        | A B best within 5 range 0..5       | A@0 A@7 B@8            | A@0 dropped
        with gaps                                     | A B[..1] best within 5             | A@0 B@3 A@10 B@11      | A@0 B@1 converted
        with exclusions                               | A B exclude x 1..2 best within 5   | A@0 x@1 B@2 A@9 B@10   | A@0 B@1 converted
        ",
    );
    each_table(
        "
        under a value any entry may win | A P L best within 3 | A@0 P@1=xero A@9 P@10=sage L@11=sage | xero: A@0 P@1 dropped / sage: A@0 P@1 L@2 converted
        ",
    );
}

#[test]
fn steps_that_a_provider_cannot_show() {
    table(
        "
        passed over              | A H~ L within 9      | A@0 L@1     | A@0 L@1 converted
        never a drop-off         | A H~ L within 9      | A@0         | A@0 dropped
        two in a row             | A H~ S~ L within 9   | A@0 L@1     | A@0 L@1 converted
        its gap is not asked for | A H[5..]~ L within 9 | A@0 L@1     | A@0 L@1 converted
        ",
    );
}

#[test]
fn reasons() {
    table(
        "
        the last one after the furthest step       | A B within 9               | A@0 !@1 !@2 | A@0 dropped !@2
        one before it says nothing                 | A B C within 9             | A@0 !@1 B@2 | A@0 B@2 dropped
        at its instant it does                     | A B C within 9             | A@0 B@2 !@2 | A@0 B@2 dropped !@2
        the step itself says nothing               | A B C within 9             | A@0 B!@2    | A@0 B@2 dropped
        after the window it says nothing           | A B within 9               | A@0 !@10    | A@0 dropped
        one who converted needs none               | A B within 9               | A@0 !@1 B@2 | A@0 B@2 converted
        an open one has it too, so far             | A B within 9 watermark 5   | A@0 !@1     | A@0 open !@1
        ",
    );
}
