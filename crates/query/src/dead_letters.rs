//! The dead letters of a tenant, newest first, redacted.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::prelude::{DataFrame, Expr, cast, col, lit};
use linkfunnel_store::Relation;

use crate::answer::{DeadLetter, DeadLettersAnswer};
use crate::columns::{int64s, texts};
use crate::engine::{Engine, Run};
use crate::error::{Error, Result};
use crate::trend;

/// Most dead letters on one page.
pub const MAX_PAGE: usize = 1_000;
/// Bytes of a message that are shown.
pub const SHOWN_BYTES: usize = 4_096;

/// The sealed bytes of a dead letter and where they came from.
#[derive(Debug, Clone, Copy)]
pub struct Sealed<'a> {
    /// The tenant whose key sealed it.
    pub tenant: &'a str,
    /// Stream it came from.
    pub stream: &'a str,
    /// Partition of the stream.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Which of the message's events.
    pub index: i32,
    /// Name of the key.
    pub key_id: Option<&'a str>,
    /// The encrypted bytes.
    pub payload: &'a [u8],
}

/// Opens sealed bytes; `None` when the key is gone.
pub type Unseal<'f> = &'f (dyn Fn(Sealed<'_>) -> Option<Vec<u8>> + Send + Sync);

/// Where a page of dead letters starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLettersQuestion {
    /// From the page before.
    pub cursor: Option<String>,
    /// Size of the page, 100 when absent, at most 1 000.
    pub limit: Option<usize>,
    /// The view to read; the current one when absent.
    pub as_of: Option<String>,
}

impl Engine {
    /// One page of the tenant's dead letters, newest first. `unseal` decrypts a message's bytes,
    /// which are shown only after [`linkfunnel_model::redact`].
    ///
    /// # Errors
    /// 400 for a bad cursor, 422 for a bad limit, [`Error::Gone`], [`Error::Timeout`].
    pub async fn dead_letters(
        &self,
        tenant: &str,
        question: DeadLettersQuestion,
        unseal: Unseal<'_>,
    ) -> Result<DeadLettersAnswer> {
        let limit = question.limit.unwrap_or(100);
        if limit == 0 || limit > MAX_PAGE {
            let detail = format!("a page has 1 to {MAX_PAGE} dead letters");
            return Err(Error::refused("bad_limit", "/limit", detail));
        }
        let after = question
            .cursor
            .as_deref()
            .map(Position::parse)
            .transpose()?;
        let run = self.start(question.as_of.as_deref()).await?;
        self.within(self.options().sql_timeout_ms, async {
            let (count, batches) = self.read(&run, tenant, after.as_ref(), limit + 1).await?;
            let mut letters = Vec::new();
            for batch in &batches {
                read_rows(batch, tenant, unseal, &mut letters).map_err(|e| run.error(e))?;
            }
            let more = letters.len() > limit;
            letters.truncate(limit);
            let next_cursor = letters.last().filter(|_| more).map(|(at, _)| at.text());
            let dead_letters = letters.into_iter().map(|(_, letter)| letter).collect();
            let snapshot = run.view.token().to_string();
            Ok(DeadLettersAnswer {
                dead_letters,
                count,
                next_cursor,
                snapshot,
            })
        })
        .await
    }

    async fn read(
        &self,
        run: &Run,
        tenant: &str,
        after: Option<&Position>,
        rows: usize,
    ) -> Result<(u64, Vec<RecordBatch>)> {
        let table =
            self.store()
                .table_provider(run.view.clone(), tenant.to_owned(), Relation::DeadLetters);
        let all = run.session.read_table(table).map_err(|e| run.error(e))?;
        let count = all.clone().count().await.map_err(|e| run.error(e))?;
        let page = async {
            let frame = match after {
                Some(position) => all.filter(position.is_before_rows())?,
                None => all,
            };
            newest_first(frame)?.limit(0, Some(rows))?.collect().await
        };
        Ok((count as u64, page.await.map_err(|e| run.error(e))?))
    }
}

fn newest_first(frame: DataFrame) -> Result<DataFrame, DataFusionError> {
    frame
        .select(vec![
            col("received_at"),
            cast(col("_stream"), arrow::datatypes::DataType::Utf8).alias("stream"),
            col("_partition"),
            col("_offset"),
            col("_index"),
            cast(col("reject_code"), arrow::datatypes::DataType::Utf8).alias("code"),
            col("reject_pointer"),
            col("reject_detail"),
            col("payload"),
            cast(col("key_id"), arrow::datatypes::DataType::Utf8).alias("key"),
        ])?
        .sort(vec![
            col("received_at").sort(false, false),
            col("stream").sort(true, false),
            col("_partition").sort(true, false),
            col("_offset").sort(true, false),
            col("_index").sort(true, false),
        ])
}

/// Place of a dead letter in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Position {
    received_at_us: i64,
    partition: i32,
    offset: i64,
    index: i32,
    stream: String,
}

impl Position {
    fn text(&self) -> String {
        let Position {
            received_at_us,
            partition,
            offset,
            index,
            stream,
        } = self;
        format!("{received_at_us}.{partition}.{offset}.{index}.{stream}")
    }

    fn parse(text: &str) -> Result<Position> {
        let read = || {
            let mut parts = text.splitn(5, '.');
            Some(Position {
                received_at_us: parts.next()?.parse().ok()?,
                partition: parts.next()?.parse().ok()?,
                offset: parts.next()?.parse().ok()?,
                index: parts.next()?.parse().ok()?,
                stream: parts.next()?.to_owned(),
            })
        };
        read().ok_or_else(|| Error::bad("bad_cursor", "/cursor", "this is not a cursor"))
    }

    /// Rows that come after this one in the list.
    fn is_before_rows(&self) -> Expr {
        let at = lit(ScalarValue::TimestampMicrosecond(
            Some(self.received_at_us),
            Some("UTC".into()),
        ));
        let same_time = col("received_at").eq(at.clone());
        let same_stream = col("_stream").eq(lit(self.stream.clone()));
        let same_partition = col("_partition").eq(lit(self.partition));
        let same_offset = col("_offset").eq(lit(self.offset));
        let later_index = same_offset.and(col("_index").gt(lit(self.index)));
        let later_offset = same_partition.and(col("_offset").gt(lit(self.offset)).or(later_index));
        let later_partition =
            same_stream.and(col("_partition").gt(lit(self.partition)).or(later_offset));
        let later_stream = same_time.and(
            col("_stream")
                .gt(lit(self.stream.clone()))
                .or(later_partition),
        );
        col("received_at").lt(at).or(later_stream)
    }
}

fn read_rows(
    batch: &RecordBatch,
    tenant: &str,
    unseal: Unseal<'_>,
    out: &mut Vec<(Position, DeadLetter)>,
) -> Result<(), DataFusionError> {
    let received = int64s(batch, "received_at")?.values;
    let offsets = int64s(batch, "_offset")?.values;
    let (streams, codes) = (texts(batch, "stream")?, texts(batch, "code")?);
    let (pointers, details) = (
        texts(batch, "reject_pointer")?,
        texts(batch, "reject_detail")?,
    );
    let keys = texts(batch, "key")?;
    let int32s = |name| -> Result<_, DataFusionError> {
        Ok(crate::columns::column(batch, name)?.as_primitive::<Int32Type>())
    };
    let (partitions, indexes) = (int32s("_partition")?, int32s("_index")?);
    let payloads = crate::columns::column(batch, "payload")?.as_binary::<i32>();
    let owned = |a: &arrow::array::StringArray, row: usize| {
        if a.is_valid(row) {
            a.value(row).to_owned()
        } else {
            String::new()
        }
    };
    for row in 0..batch.num_rows() {
        let position = Position {
            received_at_us: received[row],
            partition: partitions.value(row),
            offset: offsets[row],
            index: indexes.value(row),
            stream: owned(streams, row),
        };
        let message = payloads.is_valid(row).then(|| Sealed {
            tenant,
            stream: streams.value(row),
            partition: position.partition,
            offset: position.offset,
            index: position.index,
            key_id: keys.is_valid(row).then(|| keys.value(row)),
            payload: payloads.value(row),
        });
        let letter = DeadLetter {
            id: format!(
                "{}/{}/{}/{}",
                position.stream, position.partition, position.offset, position.index
            ),
            stream: position.stream.clone(),
            partition: position.partition,
            offset: position.offset,
            index: position.index,
            received_at: trend::text(position.received_at_us, chrono_tz::Tz::UTC),
            code: owned(codes, row),
            pointer: owned(pointers, row),
            detail: owned(details, row),
            message: message.and_then(unseal).map(|bytes| shown(&bytes)),
        };
        out.push((position, letter));
    }
    Ok(())
}

/// The start of a message, redacted. Redaction sees the whole, so that nothing sensitive hides
/// behind the cut.
fn shown(bytes: &[u8]) -> String {
    let mut text = linkfunnel_model::redact(bytes);
    if text.len() > SHOWN_BYTES {
        let cut = (0..=SHOWN_BYTES)
            .rev()
            .find(|i| text.is_char_boundary(*i))
            .unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}
