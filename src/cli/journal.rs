//! `journal`: look after the files of a journal, without a server.

use super::arguments::{DataDir, Output};
use super::audit::Change;
use super::error::Error;
use super::{alert_line, audit, columns, output, progress};
use crate::archive::Archive;
use crate::config::Store;
use crate::domain::{Entry, Seq, Timestamp};
use crate::engine::State;
use crate::grpc::pb::{Alert, JournalEntry};
use crate::grpc::{self, json, parse, render};
use crate::journal::{Error as JournalError, JournalReader, write_journal};
use clap::{Args, Subcommand};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Arguments of `journal`.
#[derive(Debug, Args)]
pub struct Journal {
    /// What to do.
    #[command(subcommand)]
    pub command: JournalCommand,
    /// Where.
    #[command(flatten)]
    pub place: DataDir,
}

/// What can be done with a journal. All but `restore` and `import` only read it, also while a server has it open.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Read everything and prove that it is what was written; changes nothing.
    Verify,
    /// Copy the journal, also while it is served; every entry is proved on the way.
    Backup {
        /// A directory without a journal.
        #[arg(value_name = "DIR")]
        to: PathBuf,
    },
    /// Copy a backup into a data directory without a journal. It is a new journal: cursors of the old one are refused.
    Restore {
        /// The directory of the backup.
        #[arg(value_name = "DIR")]
        from: PathBuf,
    },
    /// Copy what is whole before the first damage, as a new journal, and say what is lost.
    Salvage {
        /// A directory without a journal.
        #[arg(value_name = "DIR")]
        to: PathBuf,
    },
    /// Print every entry as a line of JSON, a `lodewatch.v1.JournalEntry` each.
    Export,
    /// Make a new journal out of lines that `export` printed.
    Import {
        /// JSON lines; `-` reads standard input.
        file: PathBuf,
    },
    /// Print who changed what and when, as the server knew it: every batch and every policy.
    #[command(after_long_help = columns::help::<Change>())]
    Audit,
    /// Apply every entry and print the alerts, as a server would send them: the form of a bug report.
    #[command(after_long_help = columns::help::<Alert>())]
    Replay,
}

impl JournalCommand {
    /// Whether it lists what has rows and columns.
    pub(super) fn prints_rows(&self) -> bool {
        match self {
            Self::Audit | Self::Replay => true,
            Self::Verify
            | Self::Backup { .. }
            | Self::Restore { .. }
            | Self::Salvage { .. }
            | Self::Export
            | Self::Import { .. } => false,
        }
    }
}

/// Does what is asked on the data directory of the configuration.
pub(super) fn run(output: Output, arguments: &Journal) -> Result<(), Error> {
    let config = arguments.place.settings()?;
    if let (Store::JetStream(stream), None) = (&config.journal, &arguments.place.data_dir) {
        return Err(Error::NotAFile { stream: stream.stream.clone() });
    }
    let dir = config.data_dir;
    match &arguments.command {
        JournalCommand::Verify => verify(&dir, output),
        JournalCommand::Backup { to } => {
            tell(&write_journal::<Error>(to, whole("backing up", &dir)?)?, to)
        }
        JournalCommand::Restore { from } => {
            let written = write_journal::<Error>(&dir, whole("restoring", from)?)?;
            Archive::remove(&dir)?;
            tell(&written, &dir)
        }
        JournalCommand::Salvage { to } => salvage(&dir, to),
        JournalCommand::Export => export(&dir),
        JournalCommand::Import { file } => {
            let written = write_journal(&dir, lines(file)?)?;
            Archive::remove(&dir)?;
            tell(&written, &dir)
        }
        JournalCommand::Audit => audit::run(&dir, output),
        JournalCommand::Replay => replay(&dir, output),
    }
}

/// Every entry of a journal; ends with an error where it is damaged.
fn whole(
    doing: &'static str,
    dir: &Path,
) -> Result<impl Iterator<Item = Result<Entry, Error>>, Error> {
    let reading = JournalReader::open(dir)?;
    let bar = progress::bar(doing, reading.head().0);
    Ok(bar.wrap_iter(reading).map(|entry| entry.map_err(Error::from)))
}

fn tell((epoch, head): &(crate::domain::Epoch, Seq), dir: &Path) -> Result<(), Error> {
    let dir = dir.display();
    Ok(output::line(&format!("{head} entries are in {dir}, as journal {epoch}"))?)
}

fn verify(dir: &Path, output: Output) -> Result<(), Error> {
    let mut reading = JournalReader::open(dir)?;
    let (epoch, head) = (reading.epoch(), reading.head());
    let bar = progress::bar("verifying", head.0);
    let damaged = bar.wrap_iter(reading.by_ref()).find_map(Result::err);
    drop(bar);
    // What is left to prove is that the pages hang together.
    if let Err(error) = damaged.map_or_else(|| reading.verify(), Err) {
        if matches!(error, JournalError::Damaged { .. }) {
            anstream::eprintln!(
                "restore a backup, or copy what is whole into a new journal: lodewatch journal salvage DIR"
            );
        }
        return Err(error.into());
    }
    match output {
        Output::Table | Output::Csv => {
            output::line(&format!("{head} entries of journal {epoch}: all whole"))?;
        }
        Output::Json => {
            let found = serde_json::json!({ "entries": head.0, "journal": epoch.to_string() });
            output::line(&found.to_string())?;
        }
    }
    Ok(())
}

/// Copies what is whole before the damage, and says what is lost.
fn salvage(dir: &Path, to: &Path) -> Result<(), Error> {
    let mut reading = JournalReader::open(dir)?;
    let (head, mut damage) = (reading.head(), None);
    let whole = std::iter::from_fn(|| match reading.next()? {
        Ok(entry) => Some(Ok(entry)),
        Err(error @ JournalError::Damaged { .. }) => {
            damage = Some(error);
            None
        }
        Err(error) => Some(Err(Error::from(error))),
    });
    let (epoch, saved) = write_journal(to, whole)?;
    tell(&(epoch, saved), to)?;
    match damage {
        None => output::line("nothing is lost")?,
        Some(damage) => {
            let lost = head.0.saturating_sub(saved.0);
            output::line(&format!(
                "{damage}\n{lost} entries are lost, {} to {head}",
                saved.next()
            ))?;
        }
    }
    Ok(())
}

fn export(dir: &Path) -> Result<(), Error> {
    let reading = JournalReader::open(dir)?;
    let bar = progress::bar_beside_output("exporting", reading.head().0);
    for entry in bar.wrap_iter(reading) {
        output::json(&render::entry(&entry?))?;
    }
    Ok(())
}

/// The entries of a file that `export` wrote; `-` is standard input.
fn lines(path: &Path) -> Result<impl Iterator<Item = Result<Entry, Error>>, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let lines: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(path).map_err(read)?))
    };
    let mut last = (Seq::ZERO, Timestamp::MIN);
    Ok((1..).zip(lines.lines()).map(move |(line, text)| {
        let faulty = |why: String| Error::Line { path: path.to_owned(), line, why };
        let text = text.map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let sent: JournalEntry = json::from_json(&text).map_err(|why| faulty(why.to_string()))?;
        let entry = parse::entry(&sent, last).map_err(|why| faulty(why.to_string()))?;
        last = (entry.seq, entry.at);
        Ok(entry)
    }))
}

/// Applies every entry and prints the alerts, as `alerts --oldest-first` of a server would.
fn replay(dir: &Path, output: Output) -> Result<(), Error> {
    let reading = JournalReader::open(dir)?;
    let encode = grpc::encoding(reading.epoch()).alert;
    output::begin::<Alert>(output)?;
    let mut state = State::default();
    let bar = progress::bar_beside_output("replaying", reading.head().0);
    for entry in bar.wrap_iter(reading) {
        for alert in state.apply(&entry?).alerts {
            let alert = grpc::decode(&encode(&alert));
            output::row(output, &alert, alert_line::dated)?;
        }
    }
    Ok(())
}
