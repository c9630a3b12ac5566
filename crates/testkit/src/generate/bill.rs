//! An invoice that is paid by link (domain.md F5): the link, up to three reminders with links of their own, and what the payer
//! does on the page.

use super::catalog::{
    AMOUNTS, BANKING, BILL_MEDIUMS, METHOD_TRANSFER, PAYMENT_FAILED, REMINDERS, draw,
};
use super::company::{Company, Intention, small};
use super::config::Ids;
use super::course::draw_integration;
use super::dice::{DAY, Dice, HOUR, MINUTE, SECOND};
use super::fact::{Detail, Fact, Kind, Pen, Sender, World, ids};
use super::what::What;

const SALT_BILL: u64 = 7;

/// Days after which each reminder is due, counted from the due date: the first link goes out before it.
const OVERDUE: [(i16, i16); REMINDERS] = [(-14, 1), (5, 11), (16, 26), (30, 46)];
/// Each reminder is opened less often than the one before.
const TIRED: f64 = 0.93;
/// Share of those who opened the page that are paid there, for an amount of mean hardship.
const PAID: f64 = 0.74;

/// An invoice.
pub(crate) struct Bill {
    pub(crate) number: u64,
    /// Index into AMOUNTS.
    pub(crate) amount: u8,
    pub(crate) links: [BillLink; REMINDERS],
    pub(crate) sandbox: bool,
}

/// One of its payment links.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BillLink {
    /// Index into MEDIUMS.
    pub(crate) medium: u8,
    /// Days since the due date when it was made; before it, negative.
    pub(crate) days_overdue: i16,
    /// Share of such links that is opened.
    opened: f64,
}

/// What became of a payment link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Paid,
    /// Paid otherwise, or said to be.
    Otherwise,
    Unpaid,
}

/// Writes the events of one invoice to `facts`.
pub(crate) fn tell(
    world: &World,
    company: &Company,
    intention: &Intention,
    facts: &mut Vec<Fact>,
) -> Bill {
    let seed = company.key.wrapping_mul(8) + u64::from(intention.no);
    let mut dice = Dice::new(world.config.seed, SALT_BILL, seed);
    let number = company.number * 8 + u64::from(intention.no);
    let bill = Bill {
        number,
        amount: draw(AMOUNTS, &mut dice),
        links: OVERDUE.map(|range| draw_link(range, &mut dice)),
        sandbox: dice.chance(world.config.dirt.sandbox),
    };
    let pen = Pen::new(world, company, dice, intention.start_us, facts);
    Collector { pen, bill: &bill }.collect();
    bill
}

fn draw_link((from, to): (i16, i16), dice: &mut Dice) -> BillLink {
    let weights: Vec<f64> = BILL_MEDIUMS.iter().map(|at| at.weight).collect();
    let at = &BILL_MEDIUMS[dice.weighted(&weights)];
    let days = dice.between(i64::from(from), i64::from(to));
    BillLink {
        medium: at.medium,
        days_overdue: i16::try_from(days).expect("between two of them"),
        opened: at.opened,
    }
}

struct Collector<'a, 'b> {
    pen: Pen<'a>,
    bill: &'b Bill,
}

impl Collector<'_, '_> {
    fn collect(mut self) {
        for part in 0..REMINDERS {
            self.pen.part = small(part);
            match self.send_and_wait(part) {
                End::Paid | End::Otherwise => return,
                End::Unpaid => {}
            }
            let reminds = part + 1 < REMINDERS && self.pen.dice.chance(0.72);
            self.pen.wait_long(9 * DAY, 0.25);
            let end = if reminds {
                What::PaymentLinkRevoked
            } else {
                What::PaymentLinkExpired
            };
            self.pen.integration = None;
            self.pen.tell(end, Sender::Server, self.server_ids());
            if !reminds {
                return;
            }
            self.pen.wait(30 * SECOND, 0.6);
        }
    }

    fn server_ids(&self) -> u16 {
        ids::COMPANY | ids::PAYMENT_LINK
    }

    fn page_ids(&self) -> u16 {
        match self.pen.world.config.ids {
            Ids::Sparse => ids::PAYMENT_LINK | ids::SESSION,
            Ids::Full => ids::COMPANY | ids::PAYMENT_LINK | ids::SESSION,
        }
    }

    fn bank_ids(&self) -> u16 {
        match self.pen.world.config.ids {
            Ids::Sparse => ids::PAYMENT_LINK | ids::PAYMENT,
            Ids::Full => ids::COMPANY | ids::PAYMENT_LINK | ids::PAYMENT | ids::ATTEMPT,
        }
    }

    fn send_and_wait(&mut self, part: usize) -> End {
        let link = &self.bill.links[part];
        self.pen
            .tell(What::PaymentLinkCreated, Sender::Server, self.server_ids());
        // A wrong amount is seen before anything is sent.
        if self.pen.dice.chance(0.01) {
            return End::Unpaid;
        }
        self.pen.wait(15 * SECOND, 0.6);
        let of_payment = |fact: &mut Fact| fact.kind = Some(Kind::Payment);
        let ids = ids::COMPANY | ids::PAYMENT_LINK | ids::INVITE;
        self.pen
            .tell_with(What::InviteSent, Sender::Mail, ids, of_payment);
        if self.pen.dice.chance(0.75) {
            self.pen.wait(10 * SECOND, 0.6);
            self.pen
                .tell_with(What::InviteDelivered, Sender::Mail, ids, of_payment);
        }
        let tired = TIRED.powi(i32::from(small(part)));
        if !self.pen.dice.chance(link.opened * tired) {
            return End::Unpaid;
        }
        self.pen.wait_long(9 * HOUR, 1.3);
        self.pen.attempt = 1;
        self.pen
            .tell(What::PaymentLinkOpened, Sender::Web, self.page_ids());
        self.pay()
    }

    /// What the payer does on the page.
    fn pay(&mut self) -> End {
        let hardship = AMOUNTS[usize::from(self.bill.amount)].hardship;
        let pays = !self.pen.dice.chance(((1.0 - PAID) * hardship).min(0.97));
        if !pays {
            return self.not_here();
        }
        if self.pen.dice.chance(0.11) {
            self.choose_bank();
            self.authorize();
            self.fail_attempt();
            self.pen.wait(40 * SECOND, 0.7);
            self.pen.attempt += 1;
        }
        self.choose_bank();
        self.authorize();
        self.pen.wait(25 * SECOND, 0.6);
        let method = usize::from(self.pen.dice.chance(0.45));
        let method = Detail::Method(small(method));
        self.bank(What::PaymentAuthorized, method);
        self.settle(method)
    }

    fn choose_bank(&mut self) {
        self.pen.wait(14 * SECOND, 0.7);
        let bank = draw_integration(BANKING, None, &mut self.pen.dice);
        self.pen.integration = Some(bank);
        self.pen
            .tell(What::PaymentBankSelected, Sender::Web, self.page_ids());
    }

    fn authorize(&mut self) {
        self.pen.wait(9 * SECOND, 0.6);
        let ids = self.page_ids() | ids::PAYMENT | ids::ATTEMPT;
        self.pen.tell(What::PaymentAuthorizing, Sender::Web, ids);
    }

    fn bank(&mut self, what: What, detail: Detail) {
        let ids = self.bank_ids();
        self.pen.tell_detail(what, Sender::Webhook, ids, detail);
    }

    fn fail_attempt(&mut self) {
        self.pen.wait(20 * SECOND, 0.6);
        let reasons = PAYMENT_FAILED;
        let reason = reasons.start + small(self.pen.dice.below(reasons.len()));
        let ids = self.bank_ids();
        self.pen
            .tell_with(What::PaymentAttemptFailed, Sender::Webhook, ids, |fact| {
                fact.reason = Some(reason);
            });
    }

    /// An instant transfer settles at once, another one the next day; very few come back.
    fn settle(&mut self, method: Detail) -> End {
        self.pen.wait(4 * SECOND, 0.7);
        if self.pen.dice.chance(0.015) {
            self.bank(What::PaymentFailed, method);
            return End::Unpaid;
        }
        self.bank(What::PaymentExecuted, method);
        if method == Detail::Method(METHOD_TRANSFER) {
            self.pen.wait_long(20 * HOUR, 0.4);
        } else {
            self.pen.wait(6 * SECOND, 0.7);
        }
        if self.pen.dice.chance(0.02) {
            self.bank(What::PaymentFailed, method);
            return End::Unpaid;
        }
        self.bank(What::PaymentSettled, method);
        self.pen.wait(2 * MINUTE, 0.9);
        if self.pen.dice.chance(0.98) {
            self.pen
                .tell(What::InvoicePaid, Sender::Server, self.server_ids());
        }
        End::Paid
    }

    /// Opened, and not paid by transfer from the page.
    fn not_here(&mut self) -> End {
        self.pen.wait(20 * SECOND, 0.8);
        match self.pen.dice.weighted(&[0.19, 0.19, 0.22, 0.1, 0.3]) {
            0 => {
                let ids = self.page_ids();
                let what = What::PaymentManualDeclared;
                self.pen.tell(what, Sender::Web, ids);
                End::Otherwise
            }
            1 => {
                let other = Detail::Method(2 + small(self.pen.dice.below(2)));
                let ids = self.page_ids();
                let what = What::PaymentMethodChosen;
                self.pen.tell_detail(what, Sender::Web, ids, other);
                End::Otherwise
            }
            2 => {
                self.choose_bank();
                self.authorize();
                self.fail_attempt();
                End::Unpaid
            }
            3 => {
                self.choose_bank();
                End::Unpaid
            }
            _ => End::Unpaid,
        }
    }
}
