//! What is told of a company: its arrival, a journey, an invoice. Every fact belongs to one of them.

use super::bill::Bill;
use super::journey::Journey;

/// One story.
pub(crate) enum Story {
    /// The company's first visit and sign-up.
    Arrival,
    /// An intention to link, from the invitation or call before it to the data after it.
    Journey(Journey),
    /// An invoice that is paid by link, with its reminders.
    Bill(Bill),
}

impl Story {
    /// Its number among those of its kind and company.
    pub(crate) fn number(&self) -> u64 {
        match self {
            Story::Arrival => u64::MAX,
            Story::Journey(journey) => journey.number,
            Story::Bill(bill) => !bill.number,
        }
    }

    pub(crate) fn sandbox(&self) -> bool {
        match self {
            Story::Arrival => false,
            Story::Journey(journey) => journey.sandbox,
            Story::Bill(bill) => bill.sandbox,
        }
    }

    pub(crate) fn journey(&self) -> Option<&Journey> {
        match self {
            Story::Journey(journey) => Some(journey),
            Story::Arrival | Story::Bill(_) => None,
        }
    }

    pub(crate) fn bill(&self) -> Option<&Bill> {
        match self {
            Story::Bill(bill) => Some(bill),
            Story::Arrival | Story::Journey(_) => None,
        }
    }
}
