//! A checked question, compiled: what the operator needs to know and no more.

use std::collections::BTreeSet;
use std::sync::Arc;

use linkfunnel_funnel as funnel;
use linkfunnel_model::{
    CheckedQuestion, Entries, Field, FieldKind, FieldRef, FunnelDefinition, IdKind, Moment, Op,
    Subject, Ties,
};
use linkfunnel_store::{EVENT_KEY, OCCURRED_AT, ROOT_KEY};

use crate::columns::Source;
use crate::condition::{Check, Matching, compile};
use crate::engine::Pseudonym;
use crate::error::{Error, Result};
use crate::list::ListPlan;
use crate::trend::{self, Bucket};

/// One dimension: part of the segment, or only filtered by.
#[derive(Debug, Clone)]
pub(crate) struct Dimension {
    /// As the question names it.
    pub(crate) name: String,
    pub(crate) source: Source,
    pub(crate) moment: Moment,
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

/// A compiled question.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) subject: Subject,
    pub(crate) rules: funnel::Rules,
    pub(crate) span: funnel::Span,
    pub(crate) matching: Matching,
    pub(crate) population: Population,
    /// Those of the breakdown first, in its order, then those only filtered by.
    pub(crate) dimensions: Vec<Dimension>,
    /// How many of them are the breakdown.
    pub(crate) breakdown: usize,
    pub(crate) filters: Vec<SubjectFilter>,
    /// Whether times to each step are kept.
    pub(crate) times: funnel::Times,
    /// Trend intervals; empty without.
    pub(crate) buckets: Vec<Bucket>,
    /// Set when subjects are listed instead of counted.
    pub(crate) list: Option<ListPlan>,
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
        let mut dimensions: Vec<Dimension> = Vec::new();
        for ((field, moment), name) in question.dimensions.iter().zip(names) {
            let (name, source) = (name.clone(), field.clone().into());
            dimensions.push(Dimension {
                name,
                source,
                moment: *moment,
            });
        }
        let breakdown = dimensions.len();
        let filters = filters(question, &mut dimensions, &rename)?;
        let span = &question.span;
        let (from_us, to_us) = (span.from_us, span.to_us);
        let buckets = match question.interval {
            Some(interval) => trend::buckets(from_us, to_us, interval, span.timezone)?,
            None => Vec::new(),
        };
        let names = |field| dimensions.iter().any(|d| d.source == Source::Field(field));
        let population = Population {
            live: !names(Field::Environment),
            human: !names(Field::Traffic),
        };
        Ok(Plan {
            subject: question.funnel.subject,
            rules: rules(&question.funnel)?,
            span: funnel::Span {
                from_us,
                to_us,
                watermark_us,
            },
            matching: Matching::new(&question.funnel, &rename)?,
            population,
            dimensions,
            breakdown,
            filters,
            times: if question.times {
                funnel::Times::Kept
            } else {
                funnel::Times::LeftOut
            },
            buckets,
            list: None,
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

    /// Whether a segment may count a subject that another counts too.
    pub(crate) fn segments_overlap(&self) -> bool {
        self.dimensions[..self.breakdown]
            .iter()
            .any(|d| d.moment == Moment::Chosen)
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
        names.extend(self.dimensions.iter().flat_map(|d| d.source.columns()));
        if self.list.is_some() {
            names.extend([self.id_kind().field().column(), Field::CompanyId.column()]);
        }
        names.into_iter().map(str::to_owned).collect()
    }

    /// What is shown for a subject without a value of a dimension.
    pub(crate) fn absent(&self, dimension: usize) -> Arc<str> {
        match self.dimensions[dimension].moment {
            Moment::Chosen => BEFORE_CHOICE.into(),
            Moment::Entry | Moment::FirstInWindow => NONE.into(),
        }
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
    rename: &dyn Fn(Field, &str) -> String,
) -> Result<Vec<SubjectFilter>> {
    let mut filters = Vec::new();
    for (i, condition) in question.filters.iter().enumerate() {
        let at = format!("/filters/{i}");
        let (source, check) = compile(condition, rename, &at)?;
        let known = dimensions.iter().position(|d| d.source == source);
        let dimension = known.unwrap_or_else(|| {
            let moment = match FieldRef::parse(&condition.field, "") {
                Ok(FieldRef::Field(field)) => field.moment().unwrap_or(Moment::Entry),
                _ => Moment::Entry,
            };
            let name = condition.field.clone();
            dimensions.push(Dimension {
                name,
                source,
                moment,
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
    let ties = match definition.ties {
        Ties::AnyOrder => funnel::Ties::AnyOrder,
        Ties::StrictIncrease => funnel::Ties::StrictIncrease,
    };
    let entries = match definition.entries {
        Entries::Cohort => funnel::Entries::Cohort,
    };
    funnel::Rules::new(
        steps,
        definition.outcomes.len(),
        definition.window.us(),
        ties,
        entries,
    )
    .map_err(|e| Error::refused("bad_funnel", "/funnel", e.to_string()))
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
