//! Imports what comes through a pipe: cut into blocks of records, each named by its content.
//!
//! The whole cannot be hashed before it has been read, and is not kept on disk to be read twice:
//! it may hold secrets. The cuts depend on the records alone, so the same pipe again changes nothing.

use linkfunnel_ingest::ImportProgress;
use sha2::{Digest, Sha256};

use super::{Importing, Progress, hex};
use crate::failure::Result;

/// Bytes of records in a block, about; a block is held in memory.
const BLOCK_BYTES: usize = 16 << 20;

/// Imports the records, block by block, in commits of about `commit_bytes`; what became of all of them.
pub(crate) async fn import_blocks(
    to: &Importing,
    mut records: impl Iterator<Item = Result<Vec<u8>>>,
    commit_bytes: usize,
    progress: &Progress,
) -> Result<ImportProgress> {
    let mut total = ImportProgress::default();
    loop {
        let mut hasher = Sha256::new();
        let (mut block, mut bytes) = (Vec::new(), 0);
        while bytes < BLOCK_BYTES {
            let Some(record) = records.next().transpose()? else {
                break;
            };
            hasher.update((record.len() as u64).to_le_bytes());
            hasher.update(&record);
            bytes += record.len();
            block.push(record);
        }
        if block.is_empty() {
            return Ok(total);
        }
        let name = hex(&hasher.finalize());
        let counts = to
            .import(
                &name,
                block.into_iter().map(Ok),
                commit_bytes,
                total.read,
                progress,
            )
            .await?;
        total.read += counts.read;
        total.already += counts.already;
        total.stored += counts.stored;
        total.duplicates += counts.duplicates;
        total.dead_letters += counts.dead_letters;
        total.suppressed += counts.suppressed;
        total.committed += counts.committed;
    }
}
