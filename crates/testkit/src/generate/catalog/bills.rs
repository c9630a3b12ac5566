//! Invoices that are paid by link.

use super::{Value, value};

/// Buckets of amounts: the larger, the more is left to a bank transfer by hand, or unpaid.
pub(crate) const AMOUNTS: &[Value] = &[
    value("0-100", 0.3, 0.85),
    value("100-1k", 0.4, 0.95),
    value("1k-10k", 0.22, 1.12),
    value("10k+", 0.08, 1.45),
];

/// The currency of all amounts.
pub(crate) const CURRENCY: &str = "EUR";

/// Most payment links of one invoice: the first and three reminders.
pub(crate) const REMINDERS: usize = 4;

/// How payment links are sent.
pub(crate) struct BillMedium {
    /// Index into MEDIUMS.
    pub(crate) medium: u8,
    pub(crate) weight: f64,
    /// Share of the first links that are opened; each reminder is opened a little less often.
    pub(crate) opened: f64,
}

const fn sent_by(medium: u8, weight: f64, opened: f64) -> BillMedium {
    BillMedium {
        medium,
        weight,
        opened,
    }
}

/// How payment links are sent: e-mail, SMS, QR code, on the invoice.
pub(crate) const BILL_MEDIUMS: &[BillMedium] = &[
    sent_by(1, 0.55, 0.70),
    sent_by(2, 0.20, 0.82),
    sent_by(6, 0.10, 0.58),
    sent_by(7, 0.15, 0.52),
];

/// Methods of payment.
pub(crate) const METHODS: &[&str] = &["instant_transfer", "transfer", "card", "direct_debit"];
/// Index of `transfer`, which settles the next day.
pub(crate) const METHOD_TRANSFER: u8 = 1;
