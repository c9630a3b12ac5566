//! What is saved under an id of its own: what the id may be, and what may be said of a funnel.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::condition::{Mistake, limit};
use crate::funnel::FunnelDefinition;

/// Longest id in characters.
pub const MAX_ID_CHARS: usize = 64;
/// Longest name in characters.
pub const MAX_FUNNEL_NAME: usize = 100;
/// Longest description in characters.
pub const MAX_FUNNEL_DESCRIPTION: usize = 1_000;
/// What an id looks like, as a sentence.
pub const SAVED_ID_RULE: &str = "1 to 64 of a–z, 0–9, dash and underscore";

/// The id of what is saved ([`SAVED_ID_RULE`]); safe in a path as it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SavedId(String);

impl SavedId {
    /// The id, if the text can be one.
    pub fn parse(text: &str) -> Option<SavedId> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
        let is_id = (1..=MAX_ID_CHARS).contains(&text.len()) && text.bytes().all(allowed);
        is_id.then(|| SavedId(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for SavedId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for SavedId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is saved under an id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FunnelContent {
    /// The name shown; 1 to 100 characters.
    #[schema(example = "Linking, hosted page")]
    pub name: String,
    /// What it answers; at most 1 000 characters.
    #[serde(default)]
    pub description: String,
    /// The definition.
    pub definition: FunnelDefinition,
}

impl FunnelContent {
    /// Checks everything that can be checked without data.
    ///
    /// # Errors
    /// The first [`Mistake`], with its JSON pointer.
    pub fn check(&self) -> Result<(), Mistake> {
        check_title(&self.name, &self.description)?;
        self.definition.check("/definition")
    }
}

/// Checks the name and the description of something saved.
///
/// # Errors
/// `bad_name` at `/name`, `limit_exceeded` at `/description`.
pub(crate) fn check_title(name: &str, description: &str) -> Result<(), Mistake> {
    if name.trim().is_empty() || name.chars().count() > MAX_FUNNEL_NAME {
        let detail = format!("a name has 1 to {MAX_FUNNEL_NAME} characters");
        return Err(Mistake::new("bad_name", "/name", detail));
    }
    let length = description.chars().count();
    limit(length, MAX_FUNNEL_DESCRIPTION, "characters", "/description")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;

    #[test]
    fn ids_are_short_plain_words() {
        for good in ["a", "my_funnel", "2-steps", "-", &"x".repeat(MAX_ID_CHARS)] {
            assert_eq!(SavedId::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "A",
            "a b",
            "a/b",
            "..",
            "a.b",
            "ä",
            "a\n",
            "a%2f",
            &"x".repeat(MAX_ID_CHARS + 1),
        ] {
            assert_eq!(SavedId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn every_built_in_funnel_has_an_id_that_a_saved_one_could_have() {
        for funnel in builtin::all() {
            assert!(SavedId::parse(&funnel.id).is_some(), "{}", funnel.id);
        }
    }

    #[test]
    fn mistakes_carry_code_and_pointer() {
        let good = FunnelContent {
            name: "é".repeat(MAX_FUNNEL_NAME),
            description: "é".repeat(MAX_FUNNEL_DESCRIPTION),
            definition: builtin::all().remove(0).definition,
        };
        good.check().unwrap();
        let mistake = |change: &dyn Fn(&mut FunnelContent)| {
            let mut content = good.clone();
            change(&mut content);
            let mistake = content.check().unwrap_err();
            (mistake.code, mistake.pointer)
        };
        assert_eq!(
            mistake(&|c| c.name = " ".into()),
            ("bad_name", "/name".into())
        );
        assert_eq!(mistake(&|c| c.name.push('x')), ("bad_name", "/name".into()));
        assert_eq!(
            mistake(&|c| c.description.push('x')),
            ("limit_exceeded", "/description".into())
        );
        assert_eq!(
            mistake(&|c| c.definition.steps.truncate(1)),
            ("too_few_steps", "/definition/steps".into())
        );
    }
}
