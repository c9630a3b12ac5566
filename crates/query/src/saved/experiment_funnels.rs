//! Whether what an experiment measures can be measured: its funnels are there, can start at exposure, and
//! have the steps that it asks for.
//!
//! What an id means may change after the experiment was saved, so this holds for now only.

use linkfunnel_model::{
    ExperimentDefinition, FunnelDefinition, FunnelRef, Mistake, SavedId, Subject, built_in_funnel,
    check_experiment_funnel,
};
use linkfunnel_store::SavedAll;

use super::FUNNELS;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::experiment::Lanes;
use crate::named::newest;

impl Engine {
    /// Checks the funnels of a (checked) definition as they are now. `at`: JSON pointer of the definition.
    ///
    /// # Errors
    /// 422 `unknown_funnel`, `funnel_deleted`, `funnel_not_understood`, `unknown_step` and the codes of
    /// [`check_experiment_funnel`].
    pub(super) async fn check_experiment_funnels(
        &self,
        tenant: &str,
        definition: &ExperimentDefinition,
        at: &str,
    ) -> Result<()> {
        let shelf = self.shelf(FUNNELS, tenant);
        for id in super::experiments::funnels_of(definition) {
            // what is there, not what is remembered: another process may just have saved it
            if let (Some(id), None) = (SavedId::parse(id), built_in_funnel(id)) {
                shelf.newest(&id).await?;
            }
        }
        Lanes::new(definition, &*shelf.all().await?, at).map(drop)
    }
}

/// The definition of a funnel in an experiment, checked to be one that can start at exposure. `unit`: the
/// experiment's; `saved`: what ids mean that are not built in; `at`: JSON pointer of the funnel.
pub(crate) fn measured(
    unit: Subject,
    funnel: &FunnelRef,
    saved: &SavedAll,
    at: &str,
) -> Result<FunnelDefinition> {
    match funnel {
        FunnelRef::Definition(definition) => {
            check_experiment_funnel(unit, definition, at)?;
            Ok(FunnelDefinition::clone(definition))
        }
        FunnelRef::Id(id) => {
            let (definition, _) = newest(id, saved).map_err(|error| standing_at(at, error))?;
            let checked = check_experiment_funnel(unit, &definition, at);
            checked.map_err(|mistake| Mistake {
                pointer: at.to_owned(), // the definition stands elsewhere
                detail: format!("{id}: {}", mistake.detail),
                ..mistake
            })?;
            Ok(definition)
        }
    }
}

/// What is wrong with a funnel's id, told of the place where it stands.
fn standing_at(at: &str, error: Error) -> Error {
    match error {
        Error::Invalid { code, detail, .. } => Error::refused(code, at, detail),
        other => other,
    }
}
