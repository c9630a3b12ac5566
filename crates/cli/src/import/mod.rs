//! `linkfunnel import`: files of events into a data folder or a running server.
//!
//! A file is a stream named by the hash of its content (and of the mapping, where there is one), so
//! the same file again changes nothing, and one that was cut off goes on where it stopped. What
//! comes through a pipe is cut into blocks, each a stream of its own, for the same reason.

mod exposures;
mod mapping;
mod parquet;
mod pipe;
mod progress;
mod records;
mod send;
mod times;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use chrono_tz::Tz;
use clap::Args;
use linkfunnel_ingest::{ImportOptions, ImportProgress, IngestMetrics, StreamDefaults, Vault};
use linkfunnel_model::vocab::ExperimentUnit;
use linkfunnel_store::Store;
use sha2::{Digest, Sha256};

use self::exposures::{Exposures, Tool};
use self::mapping::Wishes;
use self::records::{Format, Records};
use crate::client::Client;
use crate::config::Config;
use crate::failure::{Doing, Result};
use crate::folder::DataFolder;
use crate::{clock, crash, out, words};

pub(crate) use self::pipe::import_blocks;
pub(crate) use self::progress::{Progress, style};

/// Where data goes when nothing else is said.
pub(crate) const DEFAULT_DATA: &str = "linkfunnel-data";

/// Bytes of rows in one commit, about.
const COMMIT_BYTES: usize = 64 << 20;

/// Load files of events: NDJSON, CSV or Parquet
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  linkfunnel import events.ndjson --data ./linkfunnel-data
  linkfunnel import shop.csv --map session_id=session,occurred_at=timestamp,event=type \\
      --event-prefix custom. --timezone UTC --skip notes
  zcat events.ndjson.gz | linkfunnel import - --url http://127.0.0.1:8080
  linkfunnel import experiment_viewed.csv --exposures growthbook --unit user --timezone UTC
  linkfunnel import exposures.csv --exposures statsig --unit company

The same file again changes nothing. Columns that no field claims go to attrs. A file without event ids gets
them from its content. What cannot be read as an event becomes a dead letter.")]
pub(crate) struct ImportArgs {
    /// Files to load, - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The data folder to load into [default: linkfunnel-data]
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data: Option<PathBuf>,
    /// Send to a running server instead
    #[arg(long)]
    url: Option<String>,
    /// Which column holds which field: session_id=session,occurred_at=timestamp
    #[arg(long, value_name = "FIELD=COLUMN,…", value_delimiter = ',', value_parser = pair)]
    map: Vec<(String, String)>,
    /// Put this before event names that are not in the vocabulary: custom.
    #[arg(long, value_name = "PREFIX")]
    event_prefix: Option<String>,
    /// Columns to leave out, comma-separated
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    skip: Vec<String>,
    /// Zone of times that name none: UTC, Europe/Paris
    #[arg(long, value_name = "ZONE")]
    timezone: Option<Tz>,
    /// Each row tells that a unit was exposed to a variant, as this tool writes it; which experiments there are and who gets
    /// which variant stays the tool's
    #[arg(
        long,
        value_name = "TOOL",
        requires = "unit",
        conflicts_with = "event_prefix"
    )]
    exposures: Option<Tool>,
    /// What is assigned to variants: company, user, session, journey
    #[arg(long, value_name = "UNIT", requires = "exposures", value_parser = unit)]
    unit: Option<ExperimentUnit>,
    /// The rows tell assignments: whether a unit saw its variant is not known
    #[arg(long, requires = "exposures")]
    assigned: bool,
    /// How the files hold their records [default: by their names]
    #[arg(long)]
    format: Option<Format>,
    /// Tenant of events that name none
    #[arg(long)]
    tenant: Option<String>,
}

fn unit(word: &str) -> Result<ExperimentUnit, String> {
    let found = ExperimentUnit::parse(word);
    found.ok_or_else(|| format!("{word} is none of {}", ExperimentUnit::WORDS.join(", ")))
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((field, column)) if !field.is_empty() && !column.is_empty() => {
            Ok((field.trim().to_owned(), column.trim().to_owned()))
        }
        _ => Err("FIELD=COLUMN is expected, for instance session_id=session".into()),
    }
}

impl ImportArgs {
    /// Loads every file and says what became of it.
    pub(crate) fn run(self) -> Result<()> {
        crate::logs::start("warn");
        let wishes = Wishes {
            map: self.map.clone(),
            skip: self.skip.clone(),
            event_prefix: self.event_prefix.clone(),
            zone: self.timezone,
            exposures: self.exposures(),
        };
        match &self.url {
            Some(url) => self.send_all(url, &wishes),
            None => clock::block_on(self.load_all(&wishes)),
        }
    }

    fn exposures(&self) -> Option<Exposures> {
        let (tool, unit) = self.exposures.zip(self.unit)?;
        Some(Exposures {
            tool,
            unit,
            assigned: self.assigned,
        })
    }

    fn send_all(&self, url: &str, wishes: &Wishes) -> Result<()> {
        let client = Client::new(url, self.tenant.as_deref());
        for path in &self.files {
            let source = Source::open(path, self.format)?;
            let progress = source.progress();
            let mut records = source.records(wishes, &progress.bytes)?;
            let sent = send::send(&client, &mut records, &progress);
            progress.clear();
            let sent = sent.doing(|| path.display().to_string())?;
            remark(records.mapping());
            out::line(&format!("{}{}", self.prefix(path), sent.line(url)));
        }
        Ok(())
    }

    async fn load_all(&self, wishes: &Wishes) -> Result<()> {
        let data = self.data.clone().unwrap_or_else(|| DEFAULT_DATA.into());
        // Nothing is made before it is known that there is something to put in.
        for path in self.files.iter().filter(|path| !is_stdin(path)) {
            File::open(path).doing(|| format!("opening {}", path.display()))?;
        }
        let folder = DataFolder::of(&Config::of_folder(&data));
        let _lock = folder.take()?;
        let store = folder.store(crash::hook()).await?;
        let import = Importing {
            store,
            vault: folder.vault()?,
            tenant: self.tenant.clone(),
        };
        for path in &self.files {
            let source = Source::open(path, self.format)?;
            let counts = import
                .load(&source, wishes)
                .await
                .doing(|| path.display().to_string())?;
            out::line(&format!(
                "{}{}",
                self.prefix(path),
                closing_line(&counts, &data)
            ));
        }
        Ok(())
    }

    /// The file's name, where there are several.
    fn prefix(&self, path: &Path) -> String {
        if self.files.len() == 1 {
            String::new()
        } else {
            format!("{}: ", path.display())
        }
    }
}

/// What became of a file's records, in one line.
fn closing_line(counts: &ImportProgress, data: &Path) -> String {
    let mut parts = vec![
        format!("{} read", words::count(counts.read)),
        format!("{} stored", words::count(counts.stored)),
        words::counted(counts.duplicates, "duplicate"),
        words::counted(counts.dead_letters, "dead letter"),
    ];
    if counts.suppressed > 0 {
        parts.push(format!(
            "{} not kept (no consent)",
            words::count(counts.suppressed)
        ));
    }
    if counts.already > 0 {
        parts.push(format!("{} here before", words::count(counts.already)));
    }
    let mut line = parts.join(", ");
    if counts.dead_letters > 0 {
        line += &format!(" (linkfunnel dead-letters --data {})", data.display());
    }
    line
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A file or standard input, and how it holds its records.
enum Source {
    File {
        path: PathBuf,
        file: File,
        format: Format,
    },
    Stdin {
        format: Format,
    },
}

impl Source {
    fn open(path: &Path, format: Option<Format>) -> Result<Self> {
        if is_stdin(path) {
            return Ok(Source::Stdin {
                format: format.unwrap_or(Format::Ndjson),
            });
        }
        let opening = || format!("opening {}", path.display());
        let mut file = File::open(path).doing(opening)?;
        let mut start = Vec::new();
        (&mut file)
            .take(64)
            .read_to_end(&mut start)
            .doing(opening)?;
        let format = match format {
            Some(format) => format,
            None => Format::of(path, &start)?,
        };
        Ok(Source::File {
            path: path.to_owned(),
            file,
            format,
        })
    }

    fn progress(&self) -> Progress {
        match self {
            Source::File { path, file, .. } => {
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                Progress::new(name, file.metadata().map(|m| m.len()).ok())
            }
            Source::Stdin { .. } => Progress::new("standard input".into(), None),
        }
    }

    fn records(&self, wishes: &Wishes, bytes: &Arc<AtomicU64>) -> Result<Records> {
        match self {
            Source::File { file, format, .. } => {
                Records::from_file(file.try_clone()?, *format, wishes, Arc::clone(bytes))
            }
            Source::Stdin { format } => {
                let reader = records::Counted::new(io::stdin(), Arc::clone(bytes));
                Records::from_lines(Box::new(reader), *format, wishes)
            }
        }
    }
}

/// Says what the reader of the result should know about the columns.
fn remark(mapping: Option<&mapping::Mapping>) {
    let Some(mapping) = mapping else { return };
    if !mapping.attrs().is_empty() {
        let names = mapping.attrs().join(", ");
        out::note(&format!(
            "kept in attrs: {}",
            crate::grid::tame(&names, 1_000)
        ));
    }
    if !mapping.left_out().is_empty() {
        let names = mapping.left_out().join(", ");
        out::note(&format!(
            "left out: {} (--map attrs.NAME=COLUMN takes one)",
            crate::grid::tame(&names, 1_000)
        ));
    }
    let unseen = mapping.unseen();
    if !unseen.is_empty() {
        out::note(&format!("no record had the column {}", unseen.join(", ")));
    }
}

/// Where records are imported to.
pub(crate) struct Importing {
    pub(crate) store: Store,
    pub(crate) vault: Arc<Vault>,
    pub(crate) tenant: Option<String>,
}

impl Importing {
    async fn load(&self, source: &Source, wishes: &Wishes) -> Result<ImportProgress> {
        let progress = source.progress();
        let result = match source {
            Source::File { file, .. } => {
                progress.show(0);
                let name = content_hash(file, wishes)?;
                let mut records = source.records(wishes, &progress.bytes)?;
                let counts = self
                    .import(
                        &name,
                        from_records(&mut records),
                        COMMIT_BYTES,
                        0,
                        &progress,
                    )
                    .await;
                counts.map(|counts| (counts, records))
            }
            Source::Stdin { .. } => {
                let mut records = source.records(wishes, &progress.bytes)?;
                let counts =
                    import_blocks(self, from_records(&mut records), COMMIT_BYTES, &progress).await;
                counts.map(|counts| (counts, records))
            }
        };
        progress.clear();
        let (counts, records) = result?;
        remark(records.mapping());
        Ok(counts)
    }

    /// Imports one stream of records; `read_before`: records of earlier streams of the same source.
    async fn import(
        &self,
        name: &str,
        mut records: impl Iterator<Item = Result<Vec<u8>>>,
        commit_bytes: usize,
        read_before: u64,
        progress: &Progress,
    ) -> Result<ImportProgress> {
        let metrics = Arc::new(IngestMetrics::new(&prometheus::Registry::new())?);
        let mut options = ImportOptions {
            fault: crash::hook(),
            commit_bytes,
            ..ImportOptions::default()
        };
        if let Some(tenant) = &self.tenant {
            options.defaults = StreamDefaults {
                tenant: tenant.clone(),
                ..options.defaults
            };
        }
        // A reader's own words are kept here: the library's error would say only which record it was.
        let mut stopped = None;
        let lines = std::iter::from_fn(|| match records.next()? {
            Ok(record) => Some(Ok(record)),
            Err(failure) => {
                let error = failure.to_string().into();
                stopped = Some(failure);
                Some(Err(error))
            }
        });
        let (vault, clock) = (Arc::clone(&self.vault), clock::system());
        let show = |counts: &ImportProgress| progress.show(read_before + counts.read);
        let imported = linkfunnel_ingest::import(
            name,
            lines,
            options,
            &self.store,
            vault,
            metrics,
            &clock,
            show,
        )
        .await;
        match stopped {
            Some(failure) => Err(failure),
            None => Ok(imported?),
        }
    }
}

fn from_records(records: &mut Records) -> impl Iterator<Item = Result<Vec<u8>>> {
    std::iter::from_fn(|| {
        let mut record = Vec::with_capacity(512);
        records
            .next_into(&mut record)
            .map(|more| more.then_some(record))
            .transpose()
    })
}

/// SHA-256 of a file, and of the mapping where there is one, in hexadecimal.
fn content_hash(file: &File, wishes: &Wishes) -> Result<String> {
    let mut file = file.try_clone()?;
    io::Seek::rewind(&mut file)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
    }
    if !wishes.is_empty() {
        hasher.update(wishes.name());
    }
    Ok(hex(&hasher.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_says_what_became_of_every_record() {
        let counts = ImportProgress {
            read: 1_000_000,
            stored: 999_731,
            duplicates: 200,
            dead_letters: 69,
            ..ImportProgress::default()
        };
        assert_eq!(
            closing_line(&counts, Path::new("./linkfunnel-data")),
            "1 000 000 read, 999 731 stored, 200 duplicates, 69 dead letters (linkfunnel dead-letters --data ./linkfunnel-data)"
        );
        let again = ImportProgress {
            read: 2,
            already: 2,
            ..ImportProgress::default()
        };
        assert_eq!(
            closing_line(&again, Path::new("d")),
            "2 read, 0 stored, 0 duplicates, 0 dead letters, 2 here before"
        );
    }

    #[test]
    fn another_mapping_of_the_same_file_is_another_stream() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, b"abc").unwrap();
        let plain = content_hash(&file, &Wishes::default()).unwrap();
        assert_eq!(
            plain,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let wishes = Wishes {
            skip: vec!["x".into()],
            ..Wishes::default()
        };
        assert_ne!(content_hash(&file, &wishes).unwrap(), plain);
        let exposures = |unit| Wishes {
            exposures: Some(Exposures {
                tool: Tool::Generic,
                unit,
                assigned: false,
            }),
            ..wishes.clone()
        };
        let names = [
            wishes.name(),
            exposures(ExperimentUnit::User).name(),
            exposures(ExperimentUnit::Company).name(),
        ];
        assert_eq!(
            names[0],
            r#"Wishes { map: [], skip: ["x"], event_prefix: None, zone: None }"#
        );
        assert!(names[1] != names[0] && names[1] != names[2], "{names:?}");
    }
}
