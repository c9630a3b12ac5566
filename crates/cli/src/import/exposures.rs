//! Files of assignments and exposures, as tools that assign write them (`import --exposures TOOL --unit UNIT`).
//!
//! A row is one event: which unit, which experiment, which variant, when. Which column is which follows from the tool, in the
//! order below, or from `--map`; of the other columns only ids by their own names are kept, since a row may say anything of
//! a person. Sources of the names: `docs/exposures.md`.

use std::borrow::Cow;

use linkfunnel_model::vocab::ExperimentUnit;
use linkfunnel_model::{Event, EventName, Experiment, Field, FieldKind};

use super::mapping::Target;
use crate::failure::{Failure, Result};

/// Who wrote the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tool {
    /// An assignment query or `experiment_viewed` table of GrowthBook.
    Growthbook,
    /// An exposures export, report or log of Statsig.
    Statsig,
    /// Anything else.
    Generic,
}

/// How a file of exposures is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exposures {
    /// Who wrote it.
    pub(crate) tool: Tool,
    /// What was assigned.
    pub(crate) unit: ExperimentUnit,
    /// Whether its rows tell assignments, which nobody may have seen yet.
    pub(crate) assigned: bool,
}

/// What a row says beside the fields of its event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The experiment.
    pub(crate) experiment: Option<String>,
    /// Its variant.
    pub(crate) variant: Option<String>,
    /// What the row says was assigned.
    pub(crate) unit_type: Option<String>,
}

/// What a file must tell, and the columns that do, the likeliest first.
struct Role {
    target: Target,
    /// As the user would map it.
    name: &'static str,
    columns: Vec<String>,
}

impl Exposures {
    /// Finds the columns that the file's tool is known to write, but for what `mapped` has; each with what it is.
    ///
    /// # Errors
    /// When something needed is in no column.
    pub(crate) fn find(
        self,
        columns: &[&str],
        mapped: &[(Target, String)],
    ) -> Result<Vec<(Target, String)>> {
        let mut found = Vec::new();
        for role in self.roles() {
            if mapped.iter().any(|(target, _)| *target == role.target) {
                continue;
            }
            let named = |name: &String| columns.iter().find(|c| c.eq_ignore_ascii_case(name));
            let mut candidates = role.columns.iter();
            match candidates.find_map(named) {
                Some(column) => found.push((role.target, (*column).to_owned())),
                None if role.target == Target::UnitType => {}
                None => return Err(self.lacks(&role, columns)),
            }
        }
        Ok(found)
    }

    /// What `--map` may name beside fields and attributes.
    pub(crate) fn target(self, field: &str) -> Option<Result<Target>> {
        match field {
            "experiment" => Some(Ok(Target::Experiment)),
            "variant" => Some(Ok(Target::Variant)),
            "unit_type" => Some(Ok(Target::UnitType)),
            "event" => {
                let failure = Failure::usage("--map event: with --exposures the event is given");
                Some(Err(failure.mend("--assigned makes it experiment.assigned")))
            }
            _ => None,
        }
    }

    /// Whether a column that nothing claims goes to the field of its name.
    pub(crate) fn keeps(self, column: &str, field: Field) -> bool {
        matches!(field.kind(), FieldKind::Id(_)) && !self.is_the_tools(column)
    }

    /// Whether times of a column are in UTC though they name no zone.
    pub(crate) fn is_utc(self, column: &str) -> bool {
        self.tool == Tool::Statsig && column.eq_ignore_ascii_case("first_exposure_utc")
    }

    /// Makes the event of what the row told.
    pub(crate) fn finish(self, event: &mut Event<'_>, told: Told) {
        let name = match self.assigned {
            true => EventName::ExperimentAssigned,
            false => EventName::ExperimentExposed,
        };
        event.set(Field::Event, name.as_str());
        // What is missing stays empty, for the decoder to refuse.
        let text = |text: Option<String>| Cow::Owned(text.unwrap_or_default());
        let experiment = Experiment {
            id: text(told.experiment),
            variant: text(told.variant),
            unit: self.unit_of(told.unit_type.as_deref()),
            exposed: !self.assigned,
        };
        *event = std::mem::take(event).with_experiment(experiment);
    }

    /// The unit's word, or what the row says if it is plainly another: the decoder refuses that.
    fn unit_of(self, told: Option<&str>) -> &'static str {
        const OTHERS: [(&str, &str); 5] = [
            ("company", "companyID"),
            ("user", "userID"),
            ("session", "sessionID"),
            ("journey", "journeyID"),
            ("stable", "stableID"),
        ];
        let own = self.unit.as_str();
        let plain = told
            .unwrap_or("")
            .to_ascii_lowercase()
            .replace(['_', '-', ' '], "");
        let plain = plain.strip_suffix("id").unwrap_or(&plain);
        let other = OTHERS
            .iter()
            .find(|(word, _)| *word == plain && *word != own);
        other.map_or(own, |(_, as_written)| as_written)
    }

    fn roles(self) -> Vec<Role> {
        let [when, experiment, variant]: [&[&str]; 3] = match self.tool {
            Tool::Growthbook => [
                &["timestamp", "received_at"],
                &["experiment_id", "experimentId"],
                &["variation_id", "variationId", "variant_id", "variantId"],
            ],
            Tool::Statsig => [
                &["first_exposure_utc", "timestamp", "time"],
                &["name", "experiment_name", "experimentName", "experiment_id"],
                &[
                    "experiment_group",
                    "group_name",
                    "groupName",
                    "group",
                    "group_id",
                ],
            ],
            Tool::Generic => [
                &["occurred_at", "timestamp", "time"],
                &["experiment", "experiment_id"],
                &[
                    "variant",
                    "variant_id",
                    "variation",
                    "variation_id",
                    "group",
                ],
            ],
        };
        let role = |target, name, columns: &[&str]| Role {
            target,
            name,
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        };
        let unit = id_field(self.unit);
        let mut roles = vec![
            role(Target::Field(Field::OccurredAt), "occurred_at", when),
            role(Target::Experiment, "experiment", experiment),
            role(Target::Variant, "variant", variant),
            Role {
                target: Target::Field(unit),
                name: unit.path(),
                columns: self.ids(),
            },
        ];
        if self.tool == Tool::Statsig {
            roles.push(role(Target::UnitType, "unit_type", &["unit_type"]));
        }
        roles
    }

    /// Columns of the unit's id; upper and lower case are one.
    fn ids(self) -> Vec<String> {
        let word = self.unit.as_str();
        let (snake, camel) = (format!("{word}_id"), format!("{word}Id"));
        let unit_id = "unit_id".to_owned();
        match self.tool {
            Tool::Growthbook => vec![snake, camel],
            Tool::Generic => vec![snake, camel, unit_id],
            Tool::Statsig => {
                let nested = ["user.", "customIDs.", "custom_ids.", "user.customIDs."];
                let nested = nested.iter().map(|group| format!("{group}{camel}"));
                let snake = (!self.is_the_tools(&snake)).then_some(snake);
                [unit_id]
                    .into_iter()
                    .chain(snake)
                    .chain([camel.clone()])
                    .chain(nested)
                    .collect()
            }
        }
    }

    /// Whether a column is of the tool's own affairs though an event has a field of that name: in Statsig's files
    /// `company_id` is the customer of Statsig.
    fn is_the_tools(self, column: &str) -> bool {
        self.tool == Tool::Statsig && column.eq_ignore_ascii_case("company_id")
    }

    fn lacks(self, role: &Role, columns: &[&str]) -> Failure {
        let what = match &role.target {
            Target::Field(Field::OccurredAt) => "the time".to_owned(),
            Target::Experiment => "the experiment".to_owned(),
            Target::Variant => "the variant".to_owned(),
            _ => format!("the id of the {} assigned", self.unit.as_str()),
        };
        let own = columns.iter().find(|column| self.is_the_tools(column));
        let own = own.map_or(String::new(), |column| {
            format!("{column} is Statsig's own; if it is yours, map it. ")
        });
        let failure = Failure::usage(format!(
            "no column holds {what}; looked for {}",
            role.columns.join(", ")
        ));
        failure.mend(format!(
            "{own}name it with --map {}=COLUMN; columns: {}",
            role.name,
            columns.join(", ")
        ))
    }
}

/// The field of a unit's id.
fn id_field(unit: ExperimentUnit) -> Field {
    match unit {
        ExperimentUnit::Company => Field::CompanyId,
        ExperimentUnit::User => Field::UserId,
        ExperimentUnit::Session => Field::SessionId,
        ExperimentUnit::Journey => Field::JourneyId,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use chrono_tz::Tz;

    use super::super::mapping::Wishes;
    use super::super::records::{Format, Records};
    use super::*;

    fn wishes(tool: Tool, unit: ExperimentUnit) -> Wishes {
        Wishes {
            zone: Some(Tz::UTC),
            exposures: Some(Exposures {
                tool,
                unit,
                assigned: false,
            }),
            ..Wishes::default()
        }
    }

    fn mapped(mut wishes: Wishes, map: &[(&str, &str)]) -> Wishes {
        let own = |(field, column): &(&str, &str)| ((*field).to_owned(), (*column).to_owned());
        wishes.map = map.iter().map(own).collect();
        wishes
    }

    /// The records as JSON without their ids, or why they were refused.
    fn read(text: &str, format: Format, wishes: &Wishes) -> Result<Vec<String>, String> {
        let reader = Box::new(io::Cursor::new(text.to_owned().into_bytes()));
        let read = || -> Result<Vec<String>> {
            let mut records = Records::from_lines(reader, format, wishes)?;
            let (mut all, mut out) = (Vec::new(), Vec::new());
            while records.next_into(&mut out)? {
                let line = String::from_utf8(std::mem::take(&mut out)).unwrap();
                let (id, rest) = line.split_once(',').unwrap();
                assert!(id.starts_with(r#"{"event_id":"c-"#), "{line}");
                all.push(format!("{{{rest}"));
            }
            Ok(all)
        };
        read().map_err(|failure| failure.to_string())
    }

    #[test]
    fn an_assignment_query_of_growthbook_is_read_as_it_is() {
        let text = "user_id,timestamp,experiment_id,variation_id,browser\n\
                    123,2026-08-23 10:53:04,my-button-test,0,firefox\n";
        let lines = read(
            text,
            Format::Csv,
            &wishes(Tool::Growthbook, ExperimentUnit::User),
        );
        assert_eq!(
            lines.unwrap(),
            [
                r#"{"event":"experiment.exposed","occurred_at":"2026-08-23T10:53:04Z","user_id":"123","experiments":[{"id":"my-button-test","variant":"0","unit":"user","exposed":true}]}"#
            ]
        );
        // As an event tracker's table has it, with more ids and things that are nobody's business.
        let text = r#"{"EVENT":"experiment_viewed","ID":"x1","ANONYMOUS_ID":"an","USER_ID":"u","anonymous_id":"an","RECEIVED_AT":1767225600,"EXPERIMENT_ID":"e","VARIATION_ID":1,"CONTEXT_IP":"10.0.0.1"}"#;
        let lines = read(
            text,
            Format::Ndjson,
            &wishes(Tool::Growthbook, ExperimentUnit::User),
        );
        assert_eq!(
            lines.unwrap(),
            [
                r#"{"event":"experiment.exposed","occurred_at":"2026-01-01T00:00:00Z","user_id":"u","anonymous_id":"an","experiments":[{"id":"e","variant":"1","unit":"user","exposed":true}]}"#
            ]
        );
    }

    #[test]
    fn an_export_of_statsig_needs_no_zone_and_its_company_is_not_ours() {
        let text = "company_id,unit_id,unit_type,exposure_type,name,rule,experiment_group,first_exposure_utc,user_dimensions\n\
                    statsigs-customer,c-1,companyID,get_experiment,consent,experiment,Test,2026-09-01 12:00:00,\"{\"\"email\"\":\"\"a@b.c\"\"}\"\n";
        let mut wishes = wishes(Tool::Statsig, ExperimentUnit::Company);
        wishes.zone = None;
        assert_eq!(
            read(text, Format::Csv, &wishes).unwrap(),
            [
                r#"{"event":"experiment.exposed","occurred_at":"2026-09-01T12:00:00Z","company_id":"c-1","experiments":[{"id":"consent","variant":"Test","unit":"company","exposed":true}]}"#
            ]
        );
        // The log of a custom exposure, nested.
        let text = r#"{"user":{"userID":"u-1","customIDs":{"companyID":"c-1"}},"experimentName":"consent","group":"Control","time":1767225600000}"#;
        assert_eq!(
            read(text, Format::Ndjson, &wishes).unwrap(),
            [
                r#"{"event":"experiment.exposed","occurred_at":"2026-01-01T00:00:00Z","company_id":"c-1","experiments":[{"id":"consent","variant":"Control","unit":"company","exposed":true}]}"#
            ]
        );
    }

    #[test]
    fn a_unit_that_is_plainly_another_is_left_to_the_decoder_to_refuse() {
        let wishes = wishes(Tool::Statsig, ExperimentUnit::User);
        let unit = |unit_type: &str| {
            let text = format!("unit_id,unit_type,name,group,time\nu,{unit_type},e,a,1767225600\n");
            let lines = read(&text, Format::Csv, &wishes).unwrap();
            let rest = lines[0].split_once(r#""unit":""#).unwrap().1;
            rest.split_once('"').unwrap().0.to_owned()
        };
        for (unit_type, expected) in [
            ("userID", "user"),
            ("user_id", "user"),
            ("", "user"),
            ("orgID", "user"),
            ("stableID", "stableID"),
            ("companyID", "companyID"),
        ] {
            assert_eq!(unit(unit_type), expected, "{unit_type}");
        }
    }

    #[test]
    fn columns_named_otherwise_are_mapped_and_more_can_be_kept() {
        let text = "at,who,test,arm,device,note\n2026-01-01T00:00:00Z,s1,e,a,mobile,x\n";
        let wishes = mapped(
            wishes(Tool::Generic, ExperimentUnit::Session),
            &[
                ("occurred_at", "at"),
                ("session_id", "who"),
                ("experiment", "test"),
                ("variant", "arm"),
                ("attrs.device", "device"),
            ],
        );
        assert_eq!(
            read(text, Format::Csv, &wishes).unwrap(),
            [
                r#"{"event":"experiment.exposed","occurred_at":"2026-01-01T00:00:00Z","session_id":"s1","experiments":[{"id":"e","variant":"a","unit":"session","exposed":true}],"attrs":{"device":"mobile"}}"#
            ]
        );
    }

    #[test]
    fn a_file_without_what_is_needed_says_what_and_how_to_name_it() {
        let growthbook = wishes(Tool::Growthbook, ExperimentUnit::User);
        let statsig = wishes(Tool::Statsig, ExperimentUnit::Company);
        let event = mapped(growthbook.clone(), &[("event", "x")]);
        for (text, format, wishes, expected) in [
            (
                "anonymous_id,timestamp,experiment_id,variation_id\n",
                Format::Csv,
                &growthbook,
                "no column holds the id of the user assigned; looked for user_id, userId; name it with --map user_id=COLUMN",
            ),
            (
                "user_id,timestamp,experiment_id\n",
                Format::Csv,
                &growthbook,
                "no column holds the variant; looked for variation_id",
            ),
            (
                "user_id,experiment_id,variation_id\n",
                Format::Csv,
                &growthbook,
                "no column holds the time; looked for timestamp, received_at; name it with --map occurred_at=COLUMN",
            ),
            (
                r#"{"user_id":"u","timestamp":1767225600,"variation_id":1}"#,
                Format::Ndjson,
                &growthbook,
                "no column holds the experiment; looked for experiment_id, experimentId; name it with --map experiment=COLUMN; columns: timestamp, user_id, variation_id",
            ),
            (
                "company_id,name,group,time\n",
                Format::Csv,
                &statsig,
                "company_id is Statsig's own; if it is yours, map it.",
            ),
            (
                "x\n",
                Format::Csv,
                &event,
                "with --exposures the event is given",
            ),
        ] {
            let said = read(text, format, wishes).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
        let mut without = growthbook;
        without.zone = None;
        let text = "user_id,timestamp,experiment_id,variation_id\nu,2026-01-01 00:00:00,e,0\n";
        let said = read(text, Format::Csv, &without).unwrap_err();
        assert!(said.contains("--timezone UTC"), "{said}");
    }
}
