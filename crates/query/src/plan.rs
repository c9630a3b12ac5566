//! A checked question, compiled: what the operator needs to know and no more.

use std::collections::BTreeSet;
use std::sync::Arc;

use linkfunnel_funnel as funnel;
use linkfunnel_model::{
    Attribution, CheckedQuestion, Entries, Field, FieldKind, FieldRef, FunnelDefinition, IdKind,
    OnExclude, Op, Order, Scope, Subject, Ties,
};
use linkfunnel_store::{EVENT_KEY, OCCURRED_AT, ROOT_KEY};

use crate::columns::Source;
use crate::condition::{Check, Matching, compile};
use crate::engine::Pseudonym;
use crate::error::{Error, Result};
use crate::experiment::ExperimentPlan;
use crate::gather::{SHOWN, Wanted};
use crate::list::ListPlan;
use crate::observe::Bypass;
use crate::study::Study;
use crate::trend::{self, Bucket};

/// One dimension: part of the segment, or only filtered by.
#[derive(Debug, Clone)]
pub(crate) struct Dimension {
    /// As the question names it.
    pub(crate) name: String,
    /// Index into [`Plan::sources`].
    pub(crate) source: usize,
    /// Which of its values a subject stands under.
    pub(crate) attribution: Attribution,
}

/// A condition on the value a subject stands under.
#[derive(Debug, Clone)]
pub(crate) struct SubjectFilter {
    /// Index into [`Plan::dimensions`].
    pub(crate) dimension: usize,
    pub(crate) check: Check,
}

/// Which events count (semantics rule 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Population {
    /// Only `environment` live.
    pub(crate) live: bool,
    /// Only `traffic` human or absent.
    pub(crate) human: bool,
}

/// Indices into [`Plan::sources`] of what a dropped subject's reason is read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReasonSources {
    pub(crate) event: usize,
    pub(crate) class: usize,
    pub(crate) code: usize,
    pub(crate) attribution: usize,
    pub(crate) recoverable: usize,
}

/// A compiled question.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) subject: Subject,
    pub(crate) rules: funnel::Rules,
    pub(crate) span: funnel::Span,
    pub(crate) matching: Matching,
    /// Set when a strict funnel's scope is every event: those that break nothing all the same.
    pub(crate) scope_all: Option<Vec<String>>,
    pub(crate) population: Population,
    /// Every value that is kept of an event, each once.
    pub(crate) sources: Vec<Source>,
    /// Columns of whole numbers that are kept of an event, each once.
    pub(crate) numbers: Vec<&'static str>,
    /// Those of the breakdown first, in its order, then those only filtered by.
    pub(crate) dimensions: Vec<Dimension>,
    /// How many of them are the breakdown.
    pub(crate) breakdown: usize,
    pub(crate) filters: Vec<SubjectFilter>,
    /// Indices into [`Plan::sources`] of the fields held constant.
    pub(crate) held: Vec<usize>,
    /// Set where a provider cannot show a step.
    pub(crate) bypass: Option<Bypass>,
    /// Set when reasons are asked for.
    pub(crate) reasons: Option<ReasonSources>,
    /// Whether times to each step are kept.
    pub(crate) times: funnel::Times,
    /// Edges of the histogram of times to convert, µs, where they were given.
    pub(crate) edges_us: Option<Vec<u64>>,
    /// Trend intervals; empty without.
    pub(crate) buckets: Vec<Bucket>,
    /// Set when subjects are listed instead of counted.
    pub(crate) list: Option<ListPlan>,
    /// Set when one subject is shown instead of counted.
    pub(crate) wanted: Option<Wanted>,
    /// Set when more is looked at in every entry than how far it got.
    pub(crate) study: Option<Study>,
    /// Set when the units of an experiment are measured instead of counting subjects.
    pub(crate) experiment: Option<ExperimentPlan>,
}

impl Plan {
    /// Compiles a question. `names`: the breakdown's dimensions as the question names them.
    pub(crate) fn new(
        question: &CheckedQuestion,
        names: &[String],
        watermark_us: Option<i64>,
        tenant: &str,
        pseudonym: Option<&Pseudonym>,
    ) -> Result<Plan> {
        let rename = |field: Field, text: &str| match (pseudonym, field.kind()) {
            (Some(pseudonym), FieldKind::Id(kind)) => pseudonym(tenant, kind, text),
            _ => text.to_owned(),
        };
        let mut sources = Sources::default();
        let mut dimensions: Vec<Dimension> = Vec::new();
        for ((field, attribution), name) in question.dimensions.iter().zip(names) {
            dimensions.push(Dimension {
                name: name.clone(),
                source: sources.keep(field.clone().into()),
                attribution: *attribution,
            });
        }
        let breakdown = dimensions.len();
        let filters = filters(question, &mut dimensions, &mut sources, &rename)?;
        let definition = &question.funnel;
        let mut held = Vec::new();
        for (i, name) in definition.hold_constant.iter().enumerate() {
            let field = FieldRef::parse(name, &format!("/funnel/hold_constant/{i}"))?;
            held.push(sources.keep(field.into()));
        }
        let bypass = Bypass::new(definition, |source| sources.keep(source));
        let reasons = question.reasons.then(|| reason_sources(&mut sources));
        let span = &question.span;
        let (from_us, to_us) = (span.from_us, span.to_us);
        let buckets = match question.interval {
            Some(interval) => trend::buckets(from_us, to_us, interval, span.timezone)?,
            None => Vec::new(),
        };
        let names = |field| {
            let source = Source::Field(field);
            dimensions.iter().any(|d| sources.0[d.source] == source)
        };
        let population = Population {
            live: !names(Field::Environment),
            human: !names(Field::Traffic),
        };
        let scope_all = (definition.scope == Scope::All).then(|| definition.ignore.clone());
        Ok(Plan {
            subject: definition.subject,
            rules: rules(definition)?,
            span: funnel::Span {
                from_us,
                to_us,
                watermark_us,
            },
            matching: Matching::new(definition, &rename)?,
            scope_all,
            population,
            sources: sources.0,
            numbers: Vec::new(),
            dimensions,
            breakdown,
            filters,
            held,
            bypass,
            reasons,
            times: if question.times {
                funnel::Times::Kept
            } else {
                funnel::Times::LeftOut
            },
            edges_us: question.edges_us.clone(),
            buckets,
            list: None,
            wanted: None,
            study: None,
            experiment: None,
        })
    }

    /// Shows the subject with this key under these roots, instead of counting all.
    pub(crate) fn show(&mut self, key: i64, roots: Vec<i64>) {
        let mut kept = Sources(std::mem::take(&mut self.sources));
        let sources = SHOWN.iter().map(|field| kept.field(*field)).collect();
        self.sources = kept.0;
        self.wanted = Some(Wanted {
            key,
            roots: Some(roots),
            sources,
        });
    }

    /// Looks for the roots that hold the subject with this key.
    pub(crate) fn look_for(&mut self, key: i64) {
        self.wanted = Some(Wanted {
            key,
            roots: None,
            sources: Vec::new(),
        });
    }

    /// Keeps the name of every event, as a value of it; the index into [`Plan::sources`].
    pub(crate) fn keep_events(&mut self) -> usize {
        self.keep(Source::Field(Field::Event))
    }

    /// Keeps one more value of each event; the index into [`Plan::sources`].
    pub(crate) fn keep(&mut self, source: Source) -> usize {
        let mut sources = Sources(std::mem::take(&mut self.sources));
        let index = sources.keep(source);
        self.sources = sources.0;
        index
    }

    /// Keeps a column of whole numbers of each event; the index into [`Plan::numbers`].
    pub(crate) fn keep_number(&mut self, column: &'static str) -> usize {
        let known = self.numbers.iter().position(|other| *other == column);
        known.unwrap_or_else(|| {
            self.numbers.push(column);
            self.numbers.len() - 1
        })
    }

    /// The last instant an event can have and be used.
    pub(crate) fn last_us(&self) -> i64 {
        self.span
            .to_us
            .saturating_sub(1)
            .saturating_add(self.rules.window_us())
    }

    /// The id that tells subjects apart.
    pub(crate) fn id_kind(&self) -> IdKind {
        self.subject.id_kind()
    }

    /// Whether exposure to an experiment starts the clock, and is step 0.
    pub(crate) fn starts_at_exposure(&self) -> bool {
        let experiment = self.experiment.as_ref();
        experiment.is_some_and(ExperimentPlan::starts_at_exposure)
    }

    /// Whether the window of everybody who can enter in this interval is over.
    pub(crate) fn is_over(&self, bucket: &Bucket) -> bool {
        self.is_over_before(bucket.end_us.min(self.span.to_us))
    }

    /// Whether the window of everybody who can enter before this instant is over.
    pub(crate) fn is_over_before(&self, before_us: i64) -> bool {
        let last_us = before_us.saturating_sub(1);
        let over_us = last_us.saturating_add(self.rules.window_us());
        self.span
            .watermark_us
            .is_some_and(|watermark_us| watermark_us >= over_us)
    }

    /// Whether a segment may count a subject that another counts too.
    pub(crate) fn segments_overlap(&self) -> bool {
        self.dimensions[..self.breakdown]
            .iter()
            .any(|d| d.attribution == Attribution::Each)
    }

    /// The columns to read, each once.
    pub(crate) fn columns(&self) -> Vec<String> {
        let mut names: BTreeSet<&str> = BTreeSet::from([
            ROOT_KEY,
            OCCURRED_AT,
            EVENT_KEY,
            Field::Seq.column(),
            Field::Event.column(),
            self.id_kind().key_column(),
        ]);
        names.extend(self.population.live.then_some(Field::Environment.column()));
        names.extend(self.population.human.then_some(Field::Traffic.column()));
        names.extend(self.matching.columns());
        names.extend(self.sources.iter().flat_map(Source::columns));
        names.extend(&self.numbers);
        if self.list.is_some() {
            names.extend([self.id_kind().field().column(), Field::CompanyId.column()]);
        }
        names.into_iter().map(str::to_owned).collect()
    }

    /// What is shown for a subject without a value of a dimension.
    pub(crate) fn absent(&self, dimension: usize) -> Arc<str> {
        match self.dimensions[dimension].attribution {
            Attribution::Each => BEFORE_CHOICE.into(),
            _ => NONE.into(),
        }
    }
}

/// The values to keep of each event, each once.
#[derive(Debug, Default)]
struct Sources(Vec<Source>);

impl Sources {
    fn keep(&mut self, source: Source) -> usize {
        let known = self.0.iter().position(|other| *other == source);
        known.unwrap_or_else(|| {
            self.0.push(source);
            self.0.len() - 1
        })
    }

    fn field(&mut self, field: Field) -> usize {
        self.keep(Source::Field(field))
    }
}

fn reason_sources(sources: &mut Sources) -> ReasonSources {
    ReasonSources {
        event: sources.field(Field::Event),
        class: sources.field(Field::ReasonClass),
        code: sources.field(Field::ReasonCode),
        attribution: sources.field(Field::ReasonAttribution),
        recoverable: sources.field(Field::ReasonRecoverable),
    }
}

/// Segment of subjects without a value.
pub const NONE: &str = "(none)";
/// Segment of subjects that chose no value inside the window.
pub const BEFORE_CHOICE: &str = "(before choice)";
/// Segment of values beyond the limit.
pub const OTHER: &str = "(other)";

fn filters(
    question: &CheckedQuestion,
    dimensions: &mut Vec<Dimension>,
    sources: &mut Sources,
    rename: &dyn Fn(Field, &str) -> String,
) -> Result<Vec<SubjectFilter>> {
    let mut filters = Vec::new();
    for (i, condition) in question.filters.iter().enumerate() {
        let at = format!("/filters/{i}");
        let (source, check) = compile(condition, rename, &at)?;
        let source = sources.keep(source);
        let known = dimensions.iter().position(|d| d.source == source);
        let dimension = known.unwrap_or_else(|| {
            let natural = match FieldRef::parse(&condition.field, "") {
                Ok(FieldRef::Field(field)) => field.moment().map(Attribution::from),
                _ => None,
            };
            dimensions.push(Dimension {
                name: condition.field.clone(),
                source,
                attribution: natural.unwrap_or(Attribution::Entry),
            });
            dimensions.len() - 1
        });
        filters.push(SubjectFilter { dimension, check });
    }
    Ok(filters)
}

fn rules(definition: &FunnelDefinition) -> Result<funnel::Rules> {
    let steps = definition
        .steps
        .iter()
        .map(|step| funnel::StepRule {
            optional: step.optional,
            min_gap_us: step.min_gap.map(|gap| gap.us()),
            max_gap_us: step.max_gap.map(|gap| gap.us()),
        })
        .collect();
    let exclusions = definition
        .exclude
        .iter()
        .map(|exclusion| funnel::ExclusionRule {
            after: exclusion.after - 1,
            before: exclusion.before - 1,
        })
        .collect();
    let spec = funnel::Spec {
        steps,
        outcomes: definition.outcomes.len(),
        window_us: definition.window.us(),
        order: match definition.order {
            Order::Ordered => funnel::Order::Ordered,
            Order::Strict => funnel::Order::Strict,
            Order::Unordered => funnel::Order::Unordered {
                first_pinned: definition.first_pinned,
            },
        },
        ties: match definition.ties {
            Ties::AnyOrder => funnel::Ties::AnyOrder,
            Ties::StrictIncrease => funnel::Ties::StrictIncrease,
        },
        entries: match definition.entries {
            Entries::Cohort => funnel::Entries::Cohort,
            Entries::Best => funnel::Entries::Best,
            Entries::All => funnel::Entries::All,
        },
        exclusions,
        on_exclude: match definition.on_exclude {
            OnExclude::Block => funnel::OnExclude::Block,
            OnExclude::DiscardSubject => funnel::OnExclude::DiscardSubject,
        },
        held: definition.hold_constant.len(),
    };
    funnel::Rules::new(spec).map_err(|e| Error::refused("bad_funnel", "/funnel", e.to_string()))
}

/// The check that default population makes of a field (semantics rule 3).
pub(crate) fn default_population(words: &[&str]) -> Check {
    let value = serde_json::Value::from(words.to_vec());
    let condition = linkfunnel_model::Condition {
        field: String::new(),
        op: Op::In,
        value,
    };
    Check::new(&condition, str::to_owned)
}
