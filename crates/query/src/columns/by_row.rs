//! What is known of each row, by the word of a dictionary where the column has one.

use arrow::array::{Array, ArrayRef};
use arrow::buffer::NullBuffer;
use datafusion::error::Result;

use super::words;

/// A dictionary with fewer words than one in this many rows is looked through at once.
const FEW_WORDS_IN: usize = 8;

/// Something of every row, looked up when it is asked for.
#[derive(Debug)]
pub(crate) enum ByRow<'b, T> {
    /// One for each word of a dictionary.
    Words {
        keys: &'b [i32],
        nulls: Option<&'b NullBuffer>,
        of_word: Vec<T>,
        /// Where a row has no word.
        absent: T,
    },
    Rows(Vec<T>),
}

impl<'b, T: Copy> ByRow<'b, T> {
    /// What `of_word` says of each word of a dictionary column. Words that are not there in the rows may be asked about.
    pub(crate) fn of_words(
        array: &'b ArrayRef,
        absent: T,
        mut of_word: impl FnMut(&str) -> T,
    ) -> Result<ByRow<'b, T>> {
        let words = words(array)?;
        let count = words.texts.len();
        if count * FEW_WORDS_IN <= array.len() {
            let mut of_code = |code| words.text(code).map_or(absent, &mut of_word);
            return Ok(ByRow::Words {
                of_word: (0..count).map(&mut of_code).collect(),
                keys: words.keys,
                nulls: words.nulls,
                absent,
            });
        }
        let mut known: Vec<Option<T>> = vec![None; count];
        let mut of_code = |code: usize| {
            *known[code].get_or_insert_with(|| words.text(code).map_or(absent, &mut of_word))
        };
        let of_row = |row| words.code(row).map_or(absent, &mut of_code);
        Ok(ByRow::Rows((0..array.len()).map(of_row).collect()))
    }

    #[inline]
    pub(crate) fn get(&self, row: usize) -> T {
        match self {
            ByRow::Words {
                keys,
                nulls,
                of_word,
                absent,
            } => match nulls.is_some_and(|nulls| nulls.is_null(row)) {
                true => *absent,
                false => of_word
                    .get(keys[row].cast_unsigned() as usize)
                    .copied()
                    .unwrap_or(*absent),
            },
            ByRow::Rows(rows) => rows[row],
        }
    }

    /// Gives what is known of every row, in turn.
    pub(crate) fn for_each(&self, mut each: impl FnMut(usize, T)) {
        match self {
            ByRow::Words {
                keys,
                nulls: None,
                of_word,
                absent,
            } => {
                for (row, key) in keys.iter().enumerate() {
                    each(
                        row,
                        of_word
                            .get(key.cast_unsigned() as usize)
                            .copied()
                            .unwrap_or(*absent),
                    );
                }
            }
            ByRow::Words { keys, .. } => (0..keys.len()).for_each(|row| each(row, self.get(row))),
            ByRow::Rows(rows) => rows
                .iter()
                .enumerate()
                .for_each(|(row, one)| each(row, *one)),
        }
    }

    pub(crate) fn into_rows(self) -> Vec<T> {
        match self {
            ByRow::Rows(rows) => rows,
            ByRow::Words { keys, .. } => (0..keys.len()).map(|row| self.get(row)).collect(),
        }
    }
}
