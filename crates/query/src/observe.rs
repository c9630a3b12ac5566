//! Which steps of a funnel cannot be seen of a subject, because its provider does not emit them (semantics rule 12).
//!
//! A step is unobservable when none of its events can be shown by a provider that the subject's steps name, and no event of
//! the subject takes it: a host's own application often sends what its provider does not, and then the usual rules hold. It
//! is asked of the very events that are matched, so under a chosen value only those that fit it have a say.

use std::collections::HashMap;
use std::sync::Arc;

use linkfunnel_funnel::Rules;
use linkfunnel_model::vocab::Provider;
use linkfunnel_model::{EventName, Field, FunnelDefinition, Order, can_show};

use crate::columns::{ABSENT, Source};
use crate::judge::{Labels, Subject};
use crate::plan::Plan;

/// What the providers cannot show of a funnel.
#[derive(Debug, Clone)]
pub(crate) struct Bypass {
    /// Index into the plan's sources of the provider.
    source: usize,
    /// By provider that cannot show some required step between the ends: the steps it cannot.
    unseen: Vec<(&'static str, u64)>,
    /// All of those steps.
    any: u64,
}

impl Bypass {
    /// `None` where every provider shows every step that could be missed. `keep`: keeps a value of each event.
    pub(crate) fn new(
        definition: &FunnelDefinition,
        keep: impl FnOnce(Source) -> usize,
    ) -> Option<Bypass> {
        if definition.order == Order::Unordered {
            return None;
        }
        let unseen: Vec<(&str, u64)> = Provider::ALL
            .iter()
            .map(|provider| (provider.as_str(), unseen_by(*provider, definition)))
            .filter(|(_, steps)| *steps != 0)
            .collect();
        let any = unseen.iter().fold(0, |any, (_, steps)| any | steps);
        (any != 0).then(|| Bypass {
            source: keep(Source::Field(Field::Provider)),
            unseen,
            any,
        })
    }
}

impl Bypass {
    /// The same where this step cannot be got past.
    pub(crate) fn without(mut self, step: usize) -> Bypass {
        for (_, steps) in &mut self.unseen {
            *steps &= !(1 << step);
        }
        self.any &= !(1 << step);
        self
    }
}

/// The steps of a funnel that a provider cannot show. Not the first, which begins, nor the last, which is the conversion, nor
/// optional ones, at which nobody drops out. Not one that asks something of its events either: whether the unseen one would
/// have fitted, nobody knows.
fn unseen_by(provider: Provider, definition: &FunnelDefinition) -> u64 {
    let last = definition.steps.len() - 1;
    let hides = |event: &str| EventName::parse(event).is_some_and(|it| !can_show(provider, it));
    let steps = definition.steps.iter().enumerate().take(last).skip(1);
    let unseen = steps.filter(|(_, step)| {
        let mut alternatives = step.alternatives().into_iter();
        !step.optional && alternatives.all(|it| it.conditions.is_empty() && hides(&it.event))
    });
    unseen.fold(0, |mask, (i, _)| mask | 1 << i)
}

/// Finds the rules of subjects, and keeps what it found.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    /// By code of a provider, the steps it cannot show, once looked up.
    unseen: Vec<Option<u64>>,
    /// The plan's rules without the steps of a mask.
    bypassing: HashMap<u64, Arc<Rules>>,
}

impl Observer {
    /// The rules for a subject of which these events are matched; `None`: those of the plan.
    pub(crate) fn rules(
        &mut self,
        labels: &Labels<'_>,
        subject: &Subject<'_>,
        events: impl Iterator<Item = usize> + Clone,
    ) -> Option<Arc<Rules>> {
        let Plan { bypass, rules, .. } = labels.plan;
        let bypass = bypass.as_ref()?;
        let taken = events
            .clone()
            .fold(0, |mask, hit| mask | subject.hits[hit].steps);
        if bypass.any & !taken == 0 {
            return None;
        }
        let mut unseen = 0;
        for hit in events.filter(|hit| subject.hits[*hit].steps != 0) {
            let provider = subject.value(hit, bypass.source);
            if provider != ABSENT {
                unseen |= self.unseen_by(bypass, provider, labels);
            }
        }
        let mask = unseen & !taken;
        (mask != 0).then(|| {
            let known = self.bypassing.entry(mask);
            Arc::clone(known.or_insert_with(|| Arc::new(rules.bypassing(mask))))
        })
    }

    fn unseen_by(&mut self, bypass: &Bypass, code: u32, labels: &Labels<'_>) -> u64 {
        let place = code as usize;
        if self.unseen.len() <= place {
            self.unseen.resize(place + 1, None);
        }
        *self.unseen[place].get_or_insert_with(|| {
            let word = labels.text(code);
            let of = |(provider, _): &&(&str, u64)| Some(*provider) == word;
            bypass.unseen.iter().find(of).map_or(0, |(_, steps)| *steps)
        })
    }
}
