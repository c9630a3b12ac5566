//! Writing a generated stream to a file of lines, and its truth beside it.

use std::io::Write;

use super::error::Error;
use super::stream::Delivery;
use super::truth::Truth;

/// Writes each message as one line, damaged ones as they are; how many lines that are. Tombstones and empty messages have
/// no line: make the stream for `Carrier::File`, which has none.
pub fn write_ndjson(
    deliveries: impl Iterator<Item = Delivery>,
    mut to: impl Write,
) -> Result<u64, Error> {
    let mut lines = 0;
    for delivery in deliveries {
        if let Some(mut line) = delivery.payload.filter(|payload| !payload.is_empty()) {
            line.push(b'\n');
            to.write_all(&line).map_err(Error::Write)?;
            lines += 1;
        }
    }
    to.flush().map_err(Error::Write)?;
    Ok(lines)
}

/// Writes the truth as indented JSON.
pub fn write_truth(truth: &Truth, mut to: impl Write) -> Result<(), Error> {
    serde_json::to_writer_pretty(&mut to, truth).map_err(Error::WriteTruth)?;
    to.write_all(b"\n").map_err(Error::Write)
}
