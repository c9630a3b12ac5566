//! What follows from an experiment, in words, with the rule that gave it.

use linkfunnel_model::{Better, LookMethod};

use super::answer::{ComparisonTold, GuardrailTold, Health, MetricTold, VerdictTold};
use super::health::{TWO_FAILS, share};
use super::looks::Looks;
use super::report::Report;
use super::tally::Group;

const DAY_US: i64 = 86_400_000_000;

/// Whether a decision may be made, and on what.
enum Now {
    /// It may: by variant beside the control, whether it differs and which way (better above 0); what a look saw, in words.
    Decide {
        differs: Vec<f64>,
        is_last: bool,
        at: Option<String>,
    },
    /// Not yet: the rule, and the sentence.
    Wait { rule: String, sentence: String },
}

impl Report<'_> {
    pub(crate) fn verdict(
        &self,
        primary: &[MetricTold],
        guardrails: &[GuardrailTold],
        health: &Health,
        looks: Option<&Looks>,
    ) -> VerdictTold {
        if let Some(broken) = self.broken(health) {
            return broken;
        }
        match self.now(&primary[0], looks) {
            Now::Wait { rule, sentence } => verdict("too early", None, &rule, sentence),
            Now::Decide {
                differs,
                is_last,
                at,
            } => {
                let mut told = self.decide(&primary[0], guardrails, &differs, is_last);
                if let Some(at) = at {
                    told.sentence = format!("{at} As of now: {}", told.sentence);
                }
                told
            }
        }
    }

    /// What makes any number meaningless.
    fn broken(&self, health: &Health) -> Option<VerdictTold> {
        let unit = self.definition.unit.as_str();
        if health.units_seen == 0 {
            let sentence = format!("No {unit} was exposed to this experiment yet.");
            return Some(verdict("no traffic", None, "nobody was exposed", sentence));
        }
        if health.sample_ratio.alarm {
            let sentence = format!(
                "Do not read these results: the variants do not have the {unit} counts that their weights make expected, so something loses or adds units of one variant. Find out what before anything else."
            );
            let rule = "the split's p is below 0.001 and a share is off by more than 0.1 points";
            return Some(verdict("broken: sample ratio", None, rule, sentence));
        }
        let (two, seen) = (health.in_two_variants, health.units_seen);
        if share(two, seen) >= TWO_FAILS {
            let sentence = format!(
                "Do not read these results: {two} of {seen} units were seen in two variants."
            );
            let rule = "a tenth of the units or more were seen in two variants";
            return Some(verdict(
                "broken: units in two variants",
                None,
                rule,
                sentence,
            ));
        }
        None
    }

    fn now(&self, metric: &MetricTold, looks: Option<&Looks>) -> Now {
        if self.include_open() {
            return Now::Wait {
                rule: "rates so far are no basis for a verdict".to_owned(),
                sentence: "No verdict: these rates are so far, and those of the young are too low. Ask without open units.".to_owned(),
            };
        }
        let weights = self
            .definition
            .variants
            .iter()
            .map(|variant| variant.weight);
        if metric
            .arms
            .iter()
            .zip(weights)
            .any(|(arm, weight)| arm.of == 0 && weight > 0.0)
        {
            return Now::Wait {
                rule: "a variant has nobody whose window is over".to_owned(),
                sentence: format!(
                    "Too early: there is a variant in which nobody's window of {} is over yet.",
                    self.window()
                ),
            };
        }
        let alpha = self.definition.alpha;
        let differs = |p: fn(&ComparisonTold) -> Option<f64>| {
            let sign = |one: &ComparisonTold| {
                let found = p(one).is_some_and(|p| p < alpha);
                let z = one.z.filter(|_| found);
                z.map_or(0.0, |z| self.is_better(metric, z))
            };
            metric.comparisons.iter().map(sign).collect()
        };
        if let Some(looks) = looks {
            return self.at_look(metric, looks);
        }
        match self.definition.method {
            LookMethod::Continuous { .. } => Now::Decide {
                differs: differs(|one| one.anytime.p_corrected),
                is_last: self.is_past_end(),
                at: None,
            },
            _ if self.is_past_end() => Now::Decide {
                differs: differs(|one| one.p_corrected),
                is_last: true,
                at: None,
            },
            // planned looks always have a plan
            LookMethod::Fixed | LookMethod::Sequential { .. } => Now::Wait {
                rule: "a fixed experiment is read once, at its planned end".to_owned(),
                sentence: format!(
                    "Too early: this experiment is to be read once, {}. What is shown until then is description; reading it earlier makes false alarms.",
                    self.when_over(None)
                ),
            },
        }
    }

    /// Above 0 where the variant is better, by the sign of its test.
    fn is_better(&self, metric: &MetricTold, z: f64) -> f64 {
        match self.definition.primary[0].better {
            // a test of times is above 0 where the variant is faster
            Better::Lower if metric.measures == "time" => z,
            Better::Lower => -z,
            Better::Higher => z,
        }
    }

    /// The variants beside the control, by place, that take part: one of weight 0 without units does not.
    fn running(&self, metric: &MetricTold) -> Vec<usize> {
        let takes_part = |(at, variant): (usize, usize)| {
            let is_weighted = self.definition.variants[variant].weight > 0.0;
            (is_weighted || metric.arms[variant].of > 0).then_some(at)
        };
        self.others().enumerate().filter_map(takes_part).collect()
    }

    fn at_look(&self, metric: &MetricTold, looks: &Looks) -> Now {
        let crossed =
            |found: &Option<(usize, f64)>| found.map_or(0.0, |(_, z)| self.is_better(metric, z));
        let differs: Vec<f64> = looks.crossed.iter().map(crossed).collect();
        let wins = differs.iter().any(|z| *z > 0.0);
        let is_settled = self.running(metric).iter().all(|at| differs[*at] < 0.0);
        if wins || is_settled || looks.is_over() {
            let told = looks.crossed.iter().zip(self.others());
            let told = told.filter_map(|(found, variant)| {
                let (look, z) = (*found)?;
                let bound = looks.told[look - 1].boundary?;
                let name = self.name(variant);
                Some(format!(
                    "At look {look} {name} had z {z:+.2}, beyond {bound:.2}."
                ))
            });
            let told: Vec<String> = told.collect();
            return Now::Decide {
                differs,
                is_last: looks.is_over(),
                at: (!told.is_empty()).then(|| told.join(" ")),
            };
        }
        Now::Wait {
            rule: format!("no variant crossed its boundary before look {}", looks.next),
            sentence: format!(
                "Too early: planned look {} is {}. Between looks the numbers are description.",
                looks.next,
                self.when_over(looks.lacking)
            ),
        }
    }

    fn decide(
        &self,
        metric: &MetricTold,
        guardrails: &[GuardrailTold],
        differs: &[f64],
        is_last: bool,
    ) -> VerdictTold {
        let of = |verdict: &str, at: usize| -> Vec<&str> {
            let with = |g: &&GuardrailTold| g.verdicts[at].verdict == verdict;
            guardrails
                .iter()
                .filter(with)
                .map(|g| g.name.as_str())
                .collect()
        };
        let names: Vec<&str> = self.others().map(|variant| self.name(variant)).collect();
        let control = self.name(self.control);
        let better = |at: &usize| differs[*at] > 0.0;
        let now = |at: usize| self.is_better(metric, metric.comparisons[at].z.unwrap_or(0.0));
        let fails = |at: &usize| !of("fail", *at).is_empty();
        let passes = |at: &usize| guardrails.len() == of("pass", *at).len();
        let running = self.running(metric);
        let all = || running.iter().copied();
        // by what is known now: each may have crossed its boundary at another look
        let best = |mut found: Vec<usize>| {
            found.sort_by(|a, b| now(*b).total_cmp(&now(*a)));
            found.first().copied()
        };
        if let Some(at) = best(all().filter(better).filter(passes).collect()) {
            let kept = match guardrails.len() {
                0 => String::new(),
                1 => format!(" The guardrail {} holds.", guardrails[0].name),
                count => format!(" All {count} guardrails hold."),
            };
            let turned = match now(at) > 0.0 {
                true => "",
                false => " What came after that look points the other way.",
            };
            let compared = self.compared(metric, at);
            let sentence = format!("{} wins: {compared}{turned}{kept}", names[at]);
            let rule =
                "the first primary metric is better beyond the level, and no guardrail fails";
            return verdict("variant", Some(names[at]), rule, sentence);
        }
        let fail = |at: usize| {
            let failing = of("fail", at).join(", ");
            let sentence = format!(
                "Do not ship {}: {failing} is worse by more than its margin. {}",
                names[at],
                self.compared(metric, at)
            );
            let rule = "a guardrail fails; whatever the primary metric says, that is no winner";
            verdict("do not ship: guardrail", Some(names[at]), rule, sentence)
        };
        if let Some(at) = best(all().filter(better).filter(|at| !fails(at)).collect()) {
            let open = of("undecided", at).join(", ");
            let until = match is_last {
                true => "The planned end is reached, and it still cannot be told",
                false => "But it cannot be told yet",
            };
            let failing: Vec<String> = all()
                .filter(fails)
                .map(|at| format!(" {} fails {}.", names[at], of("fail", at).join(", ")))
                .collect();
            let sentence = format!(
                "Keep looking: {} {until} whether {open} stays within its margin.{}",
                self.compared(metric, at),
                failing.concat()
            );
            let rule = "the first primary metric is better, a guardrail is undecided";
            return verdict("keep looking", Some(names[at]), rule, sentence);
        }
        if let Some(at) = best(all().filter(better).filter(fails).collect()) {
            return fail(at);
        }
        if let Some(at) = best(all().filter(fails).collect()) {
            return fail(at);
        }
        if all().all(|at| differs[at] < 0.0) {
            let at = all().next().unwrap_or(0);
            let sentence = format!("{control} stays: {}", self.compared(metric, at));
            let rule = "every variant is worse than the control beyond the level";
            return verdict("variant", Some(control), rule, sentence);
        }
        let mut told: Vec<String> = all()
            .filter(|at| differs[*at] < 0.0)
            .map(|at| format!("{} is worse.", names[at]))
            .collect();
        let alike = all().filter(|at| differs[*at] >= 0.0);
        told.extend(alike.map(|at| self.compared(metric, at)));
        let told = told.join(" ");
        if is_last {
            let rule = "the planned end is reached and no variant is better beyond the level";
            return verdict(
                "no difference shown",
                None,
                rule,
                format!("No difference shown: {told}"),
            );
        }
        let rule = "it may be looked at any time, and no variant is better beyond the level yet";
        verdict("keep looking", None, rule, format!("Keep looking: {told}"))
    }

    /// "Linked is 63.1 % against 60.0 % (control), 3.1 points more, between 0.9 and 5.3."
    fn compared(&self, metric: &MetricTold, at: usize) -> String {
        let one = &metric.comparisons[at];
        let value = |name: &str| {
            let arm = metric.arms.iter().find(|arm| arm.variant == name);
            arm.and_then(|arm| arm.value)
        };
        let is_rate = metric.measures.starts_with("rate");
        let number = |value: f64| match (is_rate, metric.measures.as_str()) {
            (true, _) => format!("{:.1} %", 100.0 * value),
            (_, "time") => length(value),
            _ => format!("{value:.2}"),
        };
        let by = |value: f64| match (is_rate, metric.measures.as_str()) {
            (true, _) => format!("{:+.1}", 100.0 * value).replace('-', "−"),
            (_, "time") => format!(
                "{}{}",
                if value < 0.0 { "−" } else { "+" },
                length(value.abs())
            ),
            _ => format!("{value:+.2}").replace('-', "−"),
        };
        let (Some(mine), Some(other)) = (value(&one.variant), value(&one.against)) else {
            return format!("{} cannot be compared yet.", metric.name);
        };
        let (ends, of) = match (&self.definition.method, &one.simultaneous) {
            (LookMethod::Continuous { .. }, _) => ((one.anytime.low, one.anytime.high), ""),
            (LookMethod::Sequential { .. }, _) => {
                let ends = (one.difference.low, one.difference.high);
                (ends, " (for whoever looks once)")
            }
            (LookMethod::Fixed, Some(all)) => ((all.low, all.high), " (of all tests together)"),
            (LookMethod::Fixed, None) => ((one.difference.low, one.difference.high), ""),
        };
        let unit = match (is_rate, metric.measures.as_str()) {
            (true, _) => " points",
            _ => "",
        };
        let between = match (one.difference.value, ends) {
            (Some(value), (Some(low), Some(high))) => format!(
                ", {}{unit}, {} % interval{of} {} to {}",
                by(value),
                (1e5 * (1.0 - self.definition.alpha)).round() / 1e3,
                by(low),
                by(high)
            ),
            _ => String::new(),
        };
        format!(
            "{} is {} with {} against {} with {}{between}.",
            metric.name,
            number(mine),
            one.variant,
            number(other),
            one.against
        )
    }

    /// Whether the planned end is there, and everybody's window over.
    pub(crate) fn is_past_end(&self) -> bool {
        let end_us = self.checked.end_us;
        end_us.is_some_and(|end_us| self.is_over(self.lanes.places[0].lane, end_us))
    }

    fn window(&self) -> String {
        self.lanes.lanes[self.lanes.places[0].lane]
            .funnel
            .window
            .to_string()
    }

    /// When so many more units have matured, or the planned end is there, whichever is known: "in 12 days".
    fn when_over(&self, lacking: Option<u64>) -> String {
        let lane = self.lanes.places[0].lane;
        let window_us = self.lanes.lanes[lane].funnel.window.us();
        let now_us = self.watermark_us.unwrap_or(self.checked.start_us);
        let by_date = self.checked.end_us.map(|end_us| {
            let left_us = end_us
                .saturating_add(window_us)
                .saturating_sub(now_us)
                .max(0);
            left_us.unsigned_abs().div_ceil(DAY_US.unsigned_abs())
        });
        let window_days = window_us.unsigned_abs().div_ceil(DAY_US.unsigned_abs());
        let by_units = lacking
            .and_then(|lacking| self.days_for(lacking))
            .map(|days| days.saturating_add(window_days));
        match (by_units, by_date) {
            (Some(days), Some(date)) => format!("in about {} days", days.min(date)),
            (Some(days), None) => format!("in about {days} days at the present traffic"),
            (None, Some(date)) => format!("in {date} days"),
            (None, None) => match lacking {
                Some(lacking) => format!("after {lacking} more units"),
                None => {
                    "at an end that is not planned yet: give it an end or planned_units".to_owned()
                }
            },
        }
    }

    /// Days until so many more are exposed, at the traffic of the last seven whole days.
    fn days_for(&self, lacking: u64) -> Option<u64> {
        let lane = self.lanes.places[0].lane;
        let days = self.experiment(lane).days.len();
        let whole = days.saturating_sub(1);
        let last = whole.saturating_sub(7)..whole;
        let of_day = |day| self.total(lane, &Group::Day(day), |cell| cell.units);
        let (count, units) = (last.len() as u64, last.map(of_day).sum::<u64>());
        if units == 0 {
            return None;
        }
        Some(
            (u128::from(lacking) * u128::from(count))
                .div_ceil(u128::from(units))
                .try_into()
                .unwrap_or(u64::MAX),
        )
    }
}

/// A time, ms, in its two greatest units: `1 d 4 h`, `3 min 12 s`, `4.2 s`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times inside a window"
)]
fn length(ms: f64) -> String {
    if ms < 60_000.0 {
        return format!("{:.1} s", ms / 1_000.0);
    }
    let seconds = (ms / 1_000.0).round() as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours) {
        (0, 0) => format!("{minutes} min {} s", seconds % 60),
        (0, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

fn verdict(decision: &str, variant: Option<&str>, rule: &str, sentence: String) -> VerdictTold {
    VerdictTold {
        decision: decision.to_owned(),
        variant: variant.map(str::to_owned),
        rule: rule.to_owned(),
        sentence,
    }
}
