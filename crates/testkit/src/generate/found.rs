//! Which facts lead to their company (semantics rule 1), found the plain way: whoever names the company makes all its ids
//! known, whoever names a known id does too, three times over. Ids belong to one company alone, so nothing else can be found.

use super::fact::{Fact, ids};
use super::story::Story;

/// Ids other than the company's.
const OTHERS: [u16; 11] = [
    ids::USER,
    ids::ANONYMOUS,
    ids::SESSION,
    ids::JOURNEY,
    ids::ATTEMPT,
    ids::CONNECTION,
    ids::INVITE,
    ids::PAYMENT_LINK,
    ids::PAYMENT,
    ids::APPLICATION,
    ids::CALL,
];

/// Pairs on the longest way.
const STEPS: usize = 3;

/// An id: its kind, and which of them it is inside its story.
type Id = (u16, u8, u8);

fn named(fact: &Fact) -> impl Iterator<Item = Id> + '_ {
    let has = |kind: &&u16| fact.ids & **kind != 0;
    OTHERS.iter().filter(has).map(|kind| match *kind {
        ids::SESSION => (*kind, fact.part, u8::from(fact.resumed)),
        ids::ATTEMPT | ids::CONNECTION | ids::PAYMENT => (*kind, fact.part, fact.attempt),
        ids::PAYMENT_LINK | ids::INVITE | ids::CALL => (*kind, fact.part, 0),
        kind => (kind, 0, 0),
    })
}

/// Whether each of the facts of one story leads to its company.
pub(crate) fn company_found(story: &Story, facts: &[Fact]) -> Vec<bool> {
    let prompted = story.journey().is_some_and(|journey| journey.prompted);
    // The arrival names the company with the session that such a journey begins in.
    let mut known: Vec<Id> = match prompted {
        true => vec![(ids::SESSION, 0, 0)],
        false => Vec::new(),
    };
    for step in 0..STEPS {
        let before = known.clone();
        let joins = |fact: &&Fact| match step {
            0 => fact.ids & ids::COMPANY != 0,
            _ => named(fact).any(|id| before.contains(&id)),
        };
        for fact in facts.iter().filter(joins) {
            known.extend(named(fact).filter(|id| !before.contains(id)));
        }
    }
    let found =
        |fact: &Fact| fact.ids & ids::COMPANY != 0 || named(fact).any(|id| known.contains(&id));
    facts.iter().map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fact::{Detail, Sender};
    use super::super::what::What;
    use super::*;

    fn fact(ids: u16, attempt: u8) -> Fact {
        Fact {
            at_us: 0,
            deliver_us: 0,
            what: What::AttemptOpened,
            sender: Sender::Sdk,
            ids,
            attempt,
            integration: None,
            reason: None,
            category: false,
            scanner: false,
            kind: None,
            part: 0,
            detail: Detail::None,
            resumed: false,
            ordinal: 0,
        }
    }

    #[test]
    fn a_chain_of_three_steps_is_found_and_one_of_four_is_not() {
        let chain = [
            fact(ids::COMPANY | ids::INVITE, 0),
            fact(ids::INVITE | ids::JOURNEY, 0),
            fact(ids::JOURNEY | ids::ATTEMPT, 1),
            fact(ids::ATTEMPT, 1),
            fact(ids::ATTEMPT | ids::CONNECTION, 1),
            fact(ids::CONNECTION, 1),
            fact(ids::ATTEMPT, 2),
        ];
        assert_eq!(
            company_found(&Story::Arrival, &chain),
            [true, true, true, true, true, false, false]
        );
    }
}
