//! `journeys` and `attempts`: a row each subject of the funnel `linking`, for SQL.
//!
//! What a row says is what the funnel counts the subject as, over all time: its clock starts at its
//! first opening, its state is that at the watermark.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field as Column, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use linkfunnel_funnel::State;
use linkfunnel_model::{
    Attribution, EARLIEST_US, Field, FieldRef, FunnelDefinition, FunnelQuestion, Subject,
    built_in_funnel,
};

use crate::list::{ListPlan, Listed};
use crate::listed::{Listing, rows_each};
use crate::numbers::Reason;
use crate::plan::{NONE, Plan};
use crate::trend;
use crate::views::Views;

/// The funnel whose subjects are shown.
const FUNNEL: &str = "linking";
/// 9999-12-31T00:00:00Z: no clock starts later.
const LATEST: &str = "9999-12-31";

/// What a row stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubjectView {
    Journeys,
    Attempts,
}

/// What a subject stands under, besides what the list says of it: column, field, which of its values.
type Dimension = (&'static str, Field, Attribution);

impl SubjectView {
    fn subject(self) -> Subject {
        match self {
            SubjectView::Journeys => Subject::Journey,
            SubjectView::Attempts => Subject::Attempt,
        }
    }

    fn id_column(self) -> &'static str {
        match self {
            SubjectView::Journeys => "journey_id",
            SubjectView::Attempts => "attempt_id",
        }
    }

    fn dimensions(self) -> Vec<Dimension> {
        use Attribution::{Entry, First, Last};
        let mut all = vec![
            ("category", Field::Category, First),
            ("integration", Field::IntegrationKey, Last),
            ("provider", Field::Provider, Last),
            ("surface", Field::Surface, Entry),
            ("medium", Field::Medium, Entry),
            ("entry_point", Field::EntryPoint, Entry),
            ("campaign_id", Field::CampaignId, Entry),
            ("use_case", Field::UseCase, Entry),
        ];
        if self == SubjectView::Attempts {
            all.push(("journey_id", Field::JourneyId, First));
        }
        all
    }

    /// Its columns.
    pub(crate) fn schema(self) -> SchemaRef {
        let text = |name| Column::new(name, DataType::Utf8, true);
        let time = |name| {
            let kind = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            Column::new(name, kind, true)
        };
        let mut columns = vec![text(self.id_column()), text("company_id")];
        columns.extend(self.dimensions().iter().map(|(name, _, _)| text(name)));
        columns.extend([
            time("started_at"),
            text("state"),
            Column::new("matured", DataType::Boolean, false),
            Column::new("step", DataType::Int64, false),
            text("step_name"),
            time("linked_at"),
            time("ends_at"),
            text("outcome"),
            text("reason_class"),
            text("reason_code"),
            text("reason_attribution"),
            Column::new("reason_recoverable", DataType::Boolean, true),
        ]);
        Arc::new(Schema::new(columns))
    }

    /// A scan of it.
    pub(crate) async fn scan(
        self,
        views: &Views,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
        state: &dyn Session,
    ) -> crate::Result<Arc<dyn ExecutionPlan>> {
        let definition = FunnelDefinition {
            subject: self.subject(),
            ..built_in_funnel(FUNNEL)
                .expect("the funnel is built in")
                .definition
        };
        let plan = everybody(&definition, &self.dimensions(), views)?;
        let listing = views
            .engine
            .listing(&views.view, &views.tenant, plan, state)
            .await?;
        let rows = Arc::new(SubjectRows {
            schema: self.schema(),
            definition,
            listing,
        });
        let partitions = (0..rows.listing.partitions()).map(|partition| {
            let rows = Arc::clone(&rows);
            Arc::new(SubjectPartition { rows, partition }) as Arc<dyn PartitionStream>
        });
        let partitions = partitions.collect();
        let exec =
            StreamingTableExec::try_new(self.schema(), partitions, projection, None, false, limit);
        Ok(Arc::new(exec.map_err(|e| crate::Error::Run(Box::new(e)))?))
    }
}

/// The plan that lists every subject of a funnel, whenever it entered, with what it stands under.
pub(crate) fn everybody(
    definition: &FunnelDefinition,
    dimensions: &[Dimension],
    views: &Views,
) -> crate::Result<Plan> {
    let question = serde_json::json!({
        "funnel": definition,
        "range": {"from": trend::text(EARLIEST_US, chrono_tz::Tz::UTC), "to": LATEST},
        "include": ["reasons"],
    });
    let question: FunnelQuestion =
        serde_json::from_value(question).map_err(|e| crate::Error::Internal(e.to_string()))?;
    let mut checked = question.check()?;
    checked.dimensions = dimensions
        .iter()
        .map(|(_, field, attribution)| (FieldRef::Field(*field), *attribution))
        .collect();
    let names: Vec<String> = dimensions.iter().map(|d| d.0.to_owned()).collect();
    let mut plan = Plan::new(
        &checked,
        &names,
        views.view.watermark_us,
        &views.tenant,
        None,
    )?;
    plan.list = Some(ListPlan::everybody());
    Ok(plan)
}

#[derive(Debug)]
struct SubjectRows {
    schema: SchemaRef,
    definition: FunnelDefinition,
    listing: Listing,
}

#[derive(Debug)]
struct SubjectPartition {
    rows: Arc<SubjectRows>,
    partition: usize,
}

impl PartitionStream for SubjectPartition {
    fn schema(&self) -> &SchemaRef {
        &self.rows.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = Arc::clone(&self.rows);
        let listed = rows.listing.partition(self.partition, context);
        rows_each(Arc::clone(&self.rows.schema), listed, move |few| {
            rows.batch(few)
        })
    }
}

impl SubjectRows {
    fn batch(&self, listed: &[Listed]) -> Result<RecordBatch> {
        let last = self.definition.steps.len() - 1;
        let window_us = self.listing.plan().rules.window_us();
        let mut columns = vec![
            texts(listed, |l| Some(l.id.as_str()).filter(|id| !id.is_empty())),
            texts(listed, |l| l.company.as_deref()),
        ];
        for dimension in 0..self.listing.plan().breakdown {
            columns.push(texts(listed, |l| value(&l.labels[dimension])));
        }
        let linked = |l: &Listed| match l.state {
            State::Converted => l.times_us[last],
            State::Dropped | State::Open => None,
        };
        let reason = |l: &Listed, part: fn(&Reason) -> Option<&str>| {
            l.reason.as_ref().and_then(part).map(str::to_owned)
        };
        let recoverable = |l: &Listed| l.reason.as_ref().and_then(|r| r.recoverable);
        columns.extend([
            times(listed, |l| Some(l.clock_us)),
            texts(listed, |l| Some(l.state_word())),
            Arc::new(BooleanArray::from_iter(
                listed.iter().map(|l| Some(l.matured)),
            )) as ArrayRef,
            Arc::new(Int64Array::from_iter(
                listed.iter().map(|l| i64::try_from(l.furthest + 1).ok()),
            )),
            texts(listed, |l| {
                Some(self.definition.steps[l.furthest].name.as_str())
            }),
            times(listed, linked),
            times(listed, |l| Some(l.clock_us.saturating_add(window_us))),
            texts(listed, |l| {
                Some(self.definition.outcomes[l.outcome?].name.as_str())
            }),
            texts(listed, |l| reason(l, |r| r.class.as_deref())),
            texts(listed, |l| reason(l, |r| r.code.as_deref())),
            texts(listed, |l| reason(l, |r| r.attribution.as_deref())),
            Arc::new(BooleanArray::from_iter(listed.iter().map(recoverable))),
        ]);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

/// A label as SQL shows it: null where there is none.
pub(crate) fn value(label: &str) -> Option<&str> {
    Some(label).filter(|label| *label != NONE)
}

fn texts<'l, T: AsRef<str>>(
    listed: &'l [Listed],
    of: impl Fn(&'l Listed) -> Option<T>,
) -> ArrayRef {
    Arc::new(listed.iter().map(of).collect::<StringArray>())
}

fn times(listed: &[Listed], of: impl Fn(&Listed) -> Option<i64>) -> ArrayRef {
    let times = listed.iter().map(of).collect::<TimestampMicrosecondArray>();
    Arc::new(times.with_timezone("UTC"))
}
