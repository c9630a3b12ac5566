//! What events say of experiments.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, BooleanArray, ListArray, RecordBatch, StringArray};
use datafusion::error::Result;
use linkfunnel_model::{EventName, Field};

use super::{ABSENT, Cell, Interner, Source, column, test, unexpected};

pub(super) const EXPERIMENTS: &str = "experiments";

/// Variants that are told apart without the interner.
const FEW_VARIANTS: usize = 8;

/// The experiments an event names.
pub(super) struct Experiments<'a> {
    lists: &'a ListArray,
    ids: &'a StringArray,
    variants: &'a StringArray,
}

impl<'a> Experiments<'a> {
    pub(super) fn new(batch: &'a RecordBatch) -> Result<Self> {
        let array = column(batch, EXPERIMENTS)?;
        let wrong = || unexpected("list of experiments", array.data_type());
        let lists = array.as_list_opt::<i32>().ok_or_else(wrong)?;
        let items = lists.values().as_struct_opt().ok_or_else(wrong)?;
        let texts = |name| items.column_by_name(name)?.as_string_opt::<i32>();
        Ok(Experiments {
            lists,
            ids: texts("id").ok_or_else(wrong)?,
            variants: texts("variant").ok_or_else(wrong)?,
        })
    }

    /// Where those of one event are.
    fn items(&self, row: usize) -> std::ops::Range<usize> {
        if self.lists.is_null(row) {
            return 0..0;
        }
        let offsets = self.lists.value_offsets();
        let place = |at: i32| usize::try_from(at).unwrap_or(0);
        place(offsets[row])..place(offsets[row + 1])
    }

    /// Where the first mention of the experiment is, if it names a variant.
    fn mention(&self, row: usize, id: &str) -> Option<usize> {
        self.items(row)
            .find(|item| self.ids.is_valid(*item) && self.ids.value(*item) == id)
            .filter(|item| self.variants.is_valid(*item))
    }

    /// The variant of the first mention of the experiment.
    pub(super) fn variant(&self, row: usize, id: &str) -> Cell<'a> {
        self.mention(row, id)
            .map_or(Cell::None, |item| Cell::Text(self.variants.value(item)))
    }

    /// The variants of the first mention of each experiment, by its id; `None` where there is none.
    pub(super) fn all(&self, row: usize) -> Option<String> {
        let mut all: BTreeMap<&str, Option<&str>> = BTreeMap::new();
        for item in self.items(row).filter(|i| self.ids.is_valid(*i)) {
            let variant = self
                .variants
                .is_valid(item)
                .then(|| self.variants.value(item));
            all.entry(self.ids.value(item)).or_insert(variant);
        }
        let told: Vec<(&str, &str)> = all
            .into_iter()
            .filter_map(|(id, v)| Some((id, v?)))
            .collect();
        (!told.is_empty()).then(|| serde_json::to_string(&told).expect("texts are JSON"))
    }
}

/// What events tell of one experiment.
struct Told<'a> {
    experiments: Experiments<'a>,
    exposed: &'a BooleanArray,
    /// Whether the event is `experiment.exposed`, by row.
    exposes: Vec<bool>,
    id: &'a str,
}

impl<'a> Told<'a> {
    fn new(batch: &'a RecordBatch, id: &'a str) -> Result<Self> {
        let experiments = Experiments::new(batch)?;
        let items = experiments.lists.values();
        let exposed = items
            .as_struct_opt()
            .and_then(|items| items.column_by_name("exposed")?.as_boolean_opt())
            .ok_or_else(|| unexpected("list of experiments", items.data_type()))?;
        let name = EventName::ExperimentExposed.as_str();
        let event = Source::Field(Field::Event);
        Ok(Told {
            exposed,
            exposes: test(batch, &event, |cell| cell == Cell::Text(name))?,
            experiments,
            id,
        })
    }

    fn says_so(&self, item: usize) -> bool {
        self.exposed.is_valid(item) && self.exposed.value(item)
    }

    /// The variant, and whether the event says that its unit is exposed: of this experiment, or, being
    /// `experiment.exposed`, of none in particular.
    fn variant(&self, row: usize) -> Option<(&'a str, bool)> {
        let item = self.experiments.mention(row, self.id)?;
        let says_of_any = || self.experiments.items(row).any(|item| self.says_so(item));
        let is_exposure = self.says_so(item) || self.exposes[row] && !says_of_any();
        Some((self.experiments.variants.value(item), is_exposure))
    }
}

/// What each event tells of an experiment: twice the code of its variant, and one more where it tells an exposure.
/// [`ABSENT`] where it tells nothing.
pub(super) fn told_codes(
    batch: &RecordBatch,
    id: &str,
    interner: &mut Interner,
) -> Result<Vec<u32>> {
    let told = Told::new(batch, id)?;
    let mut known: Vec<(&str, u32)> = Vec::new();
    let mut code = |text| match known.iter().find(|(word, _)| *word == text) {
        Some((_, code)) => *code,
        None => {
            let code = interner.code(text);
            if known.len() < FEW_VARIANTS {
                known.push((text, code));
            }
            code
        }
    };
    let rows = (0..batch.num_rows()).map(|row| told.variant(row));
    Ok(rows
        .map(|told| {
            told.map_or(ABSENT, |(text, exposed)| {
                code(text) << 1 | u32::from(exposed)
            })
        })
        .collect())
}

/// What a code of [`told_codes`] stands for: the code of the variant, and whether it is of an exposure.
pub(crate) fn told_of(code: u32) -> Option<(u32, bool)> {
    (code != ABSENT).then_some((code >> 1, code & 1 == 1))
}

/// Ids and variants of a value of [`Source::Experiments`].
pub(crate) fn experiments_of(text: &str) -> Vec<(String, String)> {
    serde_json::from_str(text).unwrap_or_default()
}
