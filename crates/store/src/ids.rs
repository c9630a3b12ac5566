//! The ids that rows name, read from their key columns, and whose event a row is (semantics rule 1).

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use linkfunnel_model::vocab::PrivacyBasis;
use linkfunnel_model::{Field, IdKind, Ways};

/// Kinds of ids.
pub(crate) const KINDS: usize = IdKind::ALL.len();

/// Name of the column that says on what ground an event may be used.
pub(crate) fn basis_column() -> &'static str {
    Field::PrivacyBasis.column()
}

/// The key columns and the privacy basis of some rows; a column that is not there is all null.
pub(crate) struct IdColumns<'b> {
    keys: [Option<Keys<'b>>; KINDS],
    basis: Option<Basis<'b>>,
}

struct Keys<'b> {
    values: &'b [i64],
    array: &'b dyn Array,
}

/// Codes, and which of them mean that the event is exempt from consent.
struct Basis<'b> {
    codes: &'b [i32],
    array: &'b dyn Array,
    is_exempt: Vec<bool>,
}

impl<'b> IdColumns<'b> {
    /// Of columns in the order of [`IdKind::ALL`], and of the privacy basis.
    pub(crate) fn new(keys: [Option<&'b ArrayRef>; KINDS], basis: Option<&'b ArrayRef>) -> Self {
        IdColumns {
            keys: keys.map(|column| {
                let column = column.filter(|c| c.null_count() < c.len())?;
                Some(Keys {
                    values: column.as_primitive_opt::<Int64Type>()?.values(),
                    array: column.as_ref(),
                })
            }),
            basis: basis.and_then(|column| {
                let dictionary = column.as_dictionary_opt::<Int32Type>()?;
                let words = dictionary.values().as_string_opt::<i32>()?;
                let exempt = PrivacyBasis::ExemptAudience.as_str();
                let is_exempt: Vec<bool> = words.iter().map(|w| w == Some(exempt)).collect();
                is_exempt.contains(&true).then(|| Basis {
                    codes: dictionary.keys().values(),
                    array: column.as_ref(),
                    is_exempt,
                })
            }),
        }
    }

    /// Of a batch, by the columns' names.
    pub(crate) fn of(batch: &'b RecordBatch) -> Self {
        let mut keys = [None; KINDS];
        for (kind, key) in IdKind::ALL.iter().zip(&mut keys) {
            *key = batch.column_by_name(kind.key_column());
        }
        IdColumns::new(keys, batch.column_by_name(basis_column()))
    }

    pub(crate) fn key(&self, kind: IdKind, row: usize) -> Option<i64> {
        let keys = self.keys[kind as usize].as_ref()?;
        keys.array.is_valid(row).then(|| keys.values[row])
    }

    /// Whether the row may be joined to nothing (domain.md part D): it gives no pairs and is never
    /// resolved.
    pub(crate) fn is_exempt(&self, row: usize) -> bool {
        self.basis.as_ref().is_some_and(|basis| {
            let code = usize::try_from(basis.codes[row]);
            basis.array.is_valid(row) && code.is_ok_and(|code| basis.is_exempt[code])
        })
    }

    /// Whether the row's root has to be found: it names no company and is not exempt.
    pub(crate) fn is_nameless(&self, row: usize) -> bool {
        self.key(IdKind::Company, row).is_none() && !self.is_exempt(row)
    }

    /// How many of the rows have a root that has to be found.
    pub(crate) fn count_nameless(&self, rows: usize) -> u64 {
        match (&self.keys[IdKind::Company as usize], &self.basis) {
            (Some(companies), _) if companies.array.null_count() == 0 => 0,
            (None, None) => rows as u64,
            (Some(companies), None) => companies.array.null_count() as u64,
            (_, Some(_)) => (0..rows).filter(|row| self.is_nameless(*row)).count() as u64,
        }
    }

    /// The ids of a row, coarse to fine.
    pub(crate) fn ids(&self, row: usize) -> impl Iterator<Item = (IdKind, i64)> {
        let kinds = IdKind::ALL.iter();
        kinds.filter_map(move |kind| Some((*kind, self.key(*kind, row)?)))
    }

    /// Whether two rows name the same ids on the same ground.
    pub(crate) fn same(&self, a: usize, b: usize) -> bool {
        let kinds = IdKind::ALL.iter();
        kinds.clone().all(|k| self.key(*k, a) == self.key(*k, b))
            && self.is_exempt(a) == self.is_exempt(b)
    }

    /// Whose event a row is that has to be found: the company that its ids lead to, else its
    /// coarsest id. `None`: it is as it is stored.
    pub(crate) fn root(&self, row: usize, ways: &Ways) -> Option<(IdKind, i64)> {
        if !self.is_nameless(row) {
            return None;
        }
        match ways.best(self.ids(row).map(|id| id.1)) {
            Some(found) => Some((IdKind::Company, found.key)),
            None => self.ids(row).next(),
        }
    }
}
