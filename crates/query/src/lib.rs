//! Questions to plans to answers. With the store the only crate that knows DataFusion.
//!
//! A funnel question is checked (`model`), compiled, and run by one operator over
//! the store's table order; what a funnel means is `linkfunnel_funnel`'s alone. Its answer is made
//! of integers until the very end, so the same question of the same view has the same bits whatever
//! the partitions. Start with [`Engine::funnel`].

mod answer;
mod choices;
mod columns;
mod compare;
mod condition;
mod controllable;
mod daily_view;
mod dead_letters;
mod drivers;
mod effort;
mod engine;
mod error;
mod experiment;
mod experiment_plan;
mod first_values;
mod funnel;
mod funnel_table;
mod gather;
mod journey;
mod journey_answer;
mod judge;
mod list;
mod listed;
mod lookup;
mod loose;
mod membership;
mod named;
mod names;
mod never_succeeded;
mod numbers;
mod observe;
mod operator;
mod paths;
mod plan;
mod question;
mod report;
mod result;
mod rows;
mod saved;
mod shard;
mod sink;
mod sql;
mod study;
mod subject_views;
mod subjects;
mod success;
mod surfaces;
mod trend;
mod views;

#[cfg(test)]
mod tests;

pub use answer::{
    DeadLetter, DeadLettersAnswer, FunnelAnswer, Group, Matured, Meta, OutcomeCount, Rate,
    ReasonCount, StepAnswer, SubjectItem, SubjectsAnswer, SuccessRate, SuccessRatesAnswer, TimeBin,
    TimeToConvert, Times, TrendBucket, Warning, null,
};
pub use compare::{Compared, Comparison, Decomposition, DecompositionPart, Difference};
pub use controllable::Controllable;
pub use dead_letters::{DeadLettersQuestion, MAX_PAGE, SHOWN_BYTES, Sealed, Unseal};
pub use drivers::{
    Against, DEFAULT_DRIVERS, DriverDifference, DriverRow, DriverSide, DriverTest, DriversAnswer,
    DriversQuestion, EXPERIMENTS, LEAST_MATURED, MAX_DRIVER_DIMENSIONS, MAX_DRIVERS,
    MAX_DRIVERS_SHOWN, TOO_SMALL,
};
pub use effort::{
    ADVISED_ACTIONS, ADVISED_CLICKS, ActiveTime, CountBar, CountMeasure, EffortAnswer,
    EffortQuestion, IDLE_US, JourneyEffort, JourneyEfforts, MAX_COUNT, NO_SESSION_IDS,
    NOTHING_ADVISED, NOTHING_TO_COUNT, PROMISED_US, PromptEffort, PromptEfforts, Sessions,
    TimeMeasure,
};
pub use engine::{Engine, EngineOptions, Pseudonym};
pub use error::{Error, Result};
pub use experiment::{
    AgeArm, AgeTold, AnytimeTold, ArmTold, Between, ComparisonTold, CurvePoint, DayTold,
    ExperimentAnswer, ExperimentQuestion, GuardrailTold, GuardrailVerdict, Health,
    HeterogeneityTold, LookTold, MethodTold, MetricTold, SampleRatioTold, SegmentRatio,
    SegmentTold, SegmentsTold, StepTold, StratifiedTold, TimeArm, TimeComparison, TimeTold,
    VariantTold, VerdictTold,
};
pub use experiment_plan::{
    ArmUnits, DEFAULT_AFTER_DAYS, DEFAULT_LOOKS, ExperimentPlanAnswer, ExperimentPlanQuestion,
    MAX_AFTER_DAYS, MAX_DURATIONS, MAX_PLANNED_VARIANTS, MeasuredBaseline, NO_DAILY_UNITS,
    PlanBaseline, PlanEffect, PlannedBaseline, PlannedEffect, PlannedMethod, PlannedTraffic,
    ShownAfter, SmallestEffect, plan_at_rate,
};
pub use funnel_table::MAX_FUNNEL_CALLS;
pub use journey::{JourneyQuestion, MAX_EVENTS};
pub use journey_answer::{
    Because, BlockedBy, EntryAnswer, EventAnswer, EventReason, EventRef, ExplanationAnswer,
    FunnelTold, IntegrationNamed, JourneyAnswer, JourneyUnder, RefusedEvent, StepTaken, UnseenStep,
};
pub use lookup::MAX_ROOTS;
pub use never_succeeded::{
    ChosenBy, DEFAULT_MIN_CHOICES, MAX_NEVER_SUCCEEDED, NeverSucceeded, NeverSucceededAnswer,
    NeverSucceededQuestion,
};
pub use operator::{MAX_CHOICES, MAX_SEGMENTS};
pub use paths::{
    MAX_PATH_LENGTH, MAX_PATHS, MAX_PATHS_SHOWN, NOTHING, Path, PathEvent, PathsAnswer,
    PathsQuestion,
};
pub use plan::{BEFORE_CHOICE, NONE, OTHER};
pub use question::{Level, ResultQuestion, Show, SubjectsQuestion, SuccessRatesQuestion};
pub use saved::{
    Allowed, DefinitionVersion, Experiment, ExperimentChange, ExperimentsAnswer, Funnel,
    FunnelsAnswer, MAX_DEFINITIONS, NamedExperiment, Saved, Tagged,
};
pub use sql::{DEFAULT_SQL_ROWS, MAX_SQL_BYTES, SqlAnswer, SqlQuestion, TABLES};
pub use subjects::MAX_SUBJECTS;
pub use surfaces::{SurfacesAnswer, SurfacesQuestion};
pub use views::sql_views;
