//! `linkfunnel dead-letters`: what could not be taken in, why, and what it looked like (redacted).

use std::path::PathBuf;

use clap::Args;
use linkfunnel_query::{DeadLetter, DeadLettersAnswer};
use linkfunnel_query::{DeadLettersQuestion, Sealed};

use crate::client::{Client, DEFAULT_URL};
use crate::failure::{Doing, Result};
use crate::folder::DataFolder;
use crate::grid::tame;
use crate::out::{self, Screen};
use crate::{clock, query, words};

/// Show messages that could not be taken in, newest first
#[derive(Debug, Args)]
pub(crate) struct DeadLettersArgs {
    /// Look into a data folder instead of asking a server
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data: Option<PathBuf>,
    /// The server to ask [default: http://127.0.0.1:8080]
    #[arg(long)]
    url: Option<String>,
    /// The tenant to ask about, where there are several
    #[arg(long)]
    tenant: Option<String>,
    /// How many to show (1 000 at most)
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

impl DeadLettersArgs {
    /// Asks and prints.
    pub(crate) fn run(self) -> Result<()> {
        let answer = match &self.data {
            Some(data) => self.ask_folder(data)?,
            None => self.ask_server()?,
        };
        if self.json {
            out::line(&serde_json::to_string_pretty(&answer)?);
        } else {
            out::write(&text(&answer, Screen::stdout()));
        }
        Ok(())
    }

    fn ask_server(&self) -> Result<DeadLettersAnswer> {
        let client = Client::new(
            self.url.as_deref().unwrap_or(DEFAULT_URL),
            self.tenant.as_deref(),
        );
        let answer = client.get(&format!("/dead-letters?limit={}", self.limit))?;
        serde_json::from_value(answer).doing(|| format!("reading the answer of {}", client.url()))
    }

    fn ask_folder(&self, data: &std::path::Path) -> Result<DeadLettersAnswer> {
        let tenant = self
            .tenant
            .as_deref()
            .unwrap_or(linkfunnel_model::DEFAULT_TENANT);
        let limit = Some(usize::from(self.limit));
        let question = DeadLettersQuestion {
            cursor: None,
            limit,
            as_of: None,
        };
        clock::block_on(async {
            let folder = DataFolder::existing(data)?;
            let engine = folder.engine().await?;
            let vault = folder.vault()?;
            let unseal =
                move |sealed: Sealed<'_>| vault.decrypt(sealed.tenant, sealed.payload).ok();
            engine
                .dead_letters(tenant, question, &unseal)
                .await
                .map_err(query::refused)
        })
    }
}

fn text(answer: &DeadLettersAnswer, screen: Screen) -> String {
    let shown = answer.dead_letters.len() as u64;
    let mut text = match answer.count {
        0 => return "No dead letters: everything that came could be taken in.\n".into(),
        count if count == shown => format!("{}:\n", words::counted(count, "dead letter")),
        count => format!(
            "{}, the newest {}:\n",
            words::counted(count, "dead letter"),
            words::count(shown)
        ),
    };
    for letter in &answer.dead_letters {
        text += &entry(letter, screen);
    }
    text
}

fn entry(letter: &DeadLetter, screen: Screen) -> String {
    let DeadLetter {
        stream,
        partition,
        offset,
        received_at,
        ..
    } = letter;
    let pointer = match letter.pointer.as_str() {
        "" => String::new(),
        pointer => format!(" at {}", tame(pointer, 60)),
    };
    let message = match &letter.message {
        Some(message) => tame(message, screen.width.saturating_sub(2)),
        None => "(the message can no longer be read)".into(),
    };
    format!(
        "\n{}{pointer}: {}\n  {}\n  {}\n",
        screen.bold(&letter.code),
        tame(&letter.detail, 200),
        screen.faint(&format!(
            "{received_at}  {}  partition {partition}  offset {offset}",
            tame(stream, 60)
        )),
        message,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_says_why_where_and_what() {
        let letter = DeadLetter {
            id: "x".into(),
            stream: "local:1".into(),
            partition: 0,
            offset: 7,
            index: 0,
            received_at: "2026-11-22T09:00:00Z".into(),
            code: "unknown_field".into(),
            pointer: "/occured_at".into(),
            detail: "unknown field; did you mean occurred_at?".into(),
            message: Some("{\"a\":\u{7}1}".into()),
        };
        let answer = DeadLettersAnswer {
            dead_letters: vec![letter],
            count: 1,
            next_cursor: None,
            snapshot: "s".into(),
        };
        let screen = Screen {
            width: 80,
            colour: false,
            terminal: false,
        };
        assert_eq!(
            text(&answer, screen),
            "1 dead letter:\n\nunknown_field at /occured_at: unknown field; did you mean occurred_at?\n  2026-11-22T09:00:00Z  local:1  partition 0  offset 7\n  {\"a\":·1}\n"
        );
    }
}
