//! `journal`: verify, back up, repair, export and replay a journal, without a server.

use super::journal_audit::{self, Change};
use crate::archive::Archive;
use crate::cli::error::Error;
use crate::cli::input::{self, DataDirArgs};
use crate::cli::output::print::{self, OutputFormat};
use crate::cli::output::{alert_line, columns};
use crate::config::Store;
use crate::grpc::{self, json, parse, render};
use crate::journal::{Error as JournalError, JournalReader, write_journal};
use clap::{Args, Subcommand};
use lodewatch_core::domain::{Entry, Epoch, Seq, Timestamp};
use lodewatch_core::engine::State;
use lodewatch_proto::v1::{Alert, JournalEntry};
use std::io::BufRead;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct JournalArgs {
    #[command(subcommand)]
    command: JournalCommand,
    #[command(flatten)]
    data_dir: DataDirArgs,
}

/// All but `restore` and `import` only read the journal, even while a server has it open.
#[derive(Debug, Subcommand)]
enum JournalCommand {
    /// Read the whole journal and verify its checksums; changes nothing.
    Verify,
    /// Copy the journal, even while a server has it open; verifies every entry.
    Backup {
        /// Directory without a journal.
        #[arg(value_name = "DIR")]
        to: PathBuf,
    },
    /// Copy a backup to a data directory without a journal.
    ///
    /// The copy is a new journal: it rejects cursors of the old one.
    Restore {
        /// Directory of the backup.
        #[arg(value_name = "DIR")]
        from: PathBuf,
    },
    /// Copy the entries before the first damage to a new journal, and print what is lost.
    Salvage {
        /// Directory without a journal.
        #[arg(value_name = "DIR")]
        to: PathBuf,
    },
    /// Print every entry in JSON Lines, one `lodewatch.v1.JournalEntry` per line.
    Export,
    /// Create a journal from the output of `export`.
    Import {
        /// JSON Lines file; `-` reads standard input.
        file: PathBuf,
    },
    /// Print who changed what and when: every batch and every policy.
    #[command(after_long_help = columns::help::<Change>())]
    Audit,
    /// Apply every entry and print the alerts that a server would emit; attach it to bug reports.
    #[command(after_long_help = columns::help::<Alert>())]
    Replay,
}

impl JournalArgs {
    pub(crate) fn prints_list(&self) -> bool {
        matches!(self.command, JournalCommand::Audit | JournalCommand::Replay)
    }
}

pub(crate) fn run(format: OutputFormat, args: &JournalArgs) -> Result<(), Error> {
    let config = args.data_dir.load_config()?;
    if let (Store::JetStream(stream), None) = (&config.journal, &args.data_dir.data_dir) {
        return Err(Error::NotInFiles { stream: stream.stream.clone() });
    }
    let dir = config.data_dir;
    match &args.command {
        JournalCommand::Verify => verify(&dir, format),
        JournalCommand::Backup { to } => {
            print_written(&write_journal::<Error>(to, entries("backing up", &dir)?)?, to)
        }
        JournalCommand::Restore { from } => {
            let written = write_journal::<Error>(&dir, entries("restoring", from)?)?;
            Archive::remove(&dir)?;
            print_written(&written, &dir)
        }
        JournalCommand::Salvage { to } => salvage(&dir, to),
        JournalCommand::Export => export(&dir),
        JournalCommand::Import { file } => {
            let written = write_journal(&dir, exported_entries(file)?)?;
            Archive::remove(&dir)?;
            print_written(&written, &dir)
        }
        JournalCommand::Audit => journal_audit::run(&dir, format),
        JournalCommand::Replay => replay(&dir, format),
    }
}

/// Every entry of a journal; ends with an error if it is damaged.
fn entries(
    operation: &'static str,
    dir: &Path,
) -> Result<impl Iterator<Item = Result<Entry, Error>>, Error> {
    let reading = JournalReader::open(dir)?;
    let bar = print::progress_bar(operation, reading.head().0);
    Ok(bar.wrap_iter(reading).map(|entry| entry.map_err(Error::from)))
}

fn print_written((epoch, head): &(Epoch, Seq), dir: &Path) -> Result<(), Error> {
    let dir = dir.display();
    Ok(print::line(&format!("wrote {head} entries to {dir}, as journal {epoch}"))?)
}

fn verify(dir: &Path, format: OutputFormat) -> Result<(), Error> {
    let mut reading = JournalReader::open(dir)?;
    let (epoch, head) = (reading.epoch(), reading.head());
    let bar = print::progress_bar("verifying", head.0);
    let damage = bar.wrap_iter(reading.by_ref()).find_map(Result::err);
    drop(bar);
    // After the entries, the pages of the database.
    if let Err(error) = damage.map_or_else(|| reading.verify(), Err) {
        if matches!(error, JournalError::Damaged { .. }) {
            print::note(
                "restore a backup, or copy the intact entries to a new journal: lodewatch journal \
                 salvage DIR",
            );
        }
        return Err(error.into());
    }
    match format {
        OutputFormat::Table | OutputFormat::Csv => {
            print::line(&format!("verified {head} entries of journal {epoch}: no damage"))?;
        }
        OutputFormat::Json => {
            let found = serde_json::json!({ "entries": head.0, "journal": epoch.to_string() });
            print::line(&found.to_string())?;
        }
    }
    Ok(())
}

/// Copies the entries before the damage, and prints what is lost.
fn salvage(dir: &Path, to: &Path) -> Result<(), Error> {
    let mut reading = JournalReader::open(dir)?;
    let (head, mut damage) = (reading.head(), None);
    let intact = std::iter::from_fn(|| match reading.next()? {
        Ok(entry) => Some(Ok(entry)),
        Err(error @ JournalError::Damaged { .. }) => {
            damage = Some(error);
            None
        }
        Err(error) => Some(Err(Error::from(error))),
    });
    let (epoch, saved) = write_journal(to, intact)?;
    print_written(&(epoch, saved), to)?;
    match damage {
        None => print::line("no entries lost")?,
        Some(damage) => {
            let lost = head.0.saturating_sub(saved.0);
            let first = saved.next();
            print::line(&format!("{damage}\n{lost} entries lost: {first} to {head}"))?;
        }
    }
    Ok(())
}

fn export(dir: &Path) -> Result<(), Error> {
    let reading = JournalReader::open(dir)?;
    let bar = print::progress_bar_beside_output("exporting", reading.head().0);
    for entry in bar.wrap_iter(reading) {
        print::json(&render::entry(&entry?))?;
    }
    Ok(())
}

/// The entries of a file that `export` wrote; `-` is standard input.
fn exported_entries(path: &Path) -> Result<impl Iterator<Item = Result<Entry, Error>>, Error> {
    let lines = input::open(path)?.lines();
    let mut last = (Seq::ZERO, Timestamp::MIN);
    Ok((1..).zip(lines).map(move |(line, text)| {
        let invalid = |problem: String| Error::Line { path: path.to_owned(), line, problem };
        let text = text.map_err(Error::read(path))?;
        let message: JournalEntry =
            json::from_json(&text).map_err(|error| invalid(error.to_string()))?;
        let entry = parse::entry(&message, last).map_err(|error| invalid(error.to_string()))?;
        last = (entry.seq, entry.at);
        Ok(entry)
    }))
}

/// Applies every entry and prints the alerts, as `alerts --oldest-first` of a server would.
fn replay(dir: &Path, format: OutputFormat) -> Result<(), Error> {
    let reading = JournalReader::open(dir)?;
    let encode = grpc::encoding(reading.epoch()).alert;
    print::list_heading::<Alert>(format)?;
    let mut state = State::default();
    let bar = print::progress_bar_beside_output("replaying", reading.head().0);
    for entry in bar.wrap_iter(reading) {
        for alert in state.apply(&entry?).alerts {
            let alert = grpc::decode(&encode(&alert));
            print::list_row(format, &alert, alert_line::render_dated)?;
        }
    }
    Ok(())
}
