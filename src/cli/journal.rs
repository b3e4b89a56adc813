//! `journal`: look after the files of a journal, without a server.

use super::arguments::{Journal, JournalCommand, Output};
use super::error::Error;
use super::{audit, output};
use crate::archive::Archive;
use crate::config::Store;
use crate::domain::{Entry, Seq, Timestamp};
use crate::engine::State;
use crate::grpc::pb::JournalEntry;
use crate::grpc::{self, json, parse, render};
use crate::journal::{Error as JournalError, Reading, write_new};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Does what is asked on the data directory of the configuration.
pub(super) fn run(output: Output, arguments: &Journal) -> Result<(), Error> {
    let config = arguments.place.settings()?;
    if let (Store::JetStream(stream), None) = (&config.journal, &arguments.place.data_dir) {
        return Err(Error::NotAFile { stream: stream.stream.clone() });
    }
    let dir = config.data_dir;
    match &arguments.command {
        JournalCommand::Verify => verify(&dir, output),
        JournalCommand::Backup { to } => tell(&write_new::<Error>(to, whole(&dir)?)?, to),
        JournalCommand::Restore { from } => {
            let written = write_new::<Error>(&dir, whole(from)?)?;
            Archive::remove(&dir)?;
            tell(&written, &dir)
        }
        JournalCommand::Salvage { to } => salvage(&dir, to),
        JournalCommand::Export => export(&dir),
        JournalCommand::Import { file } => {
            let written = write_new(&dir, lines(file)?)?;
            Archive::remove(&dir)?;
            tell(&written, &dir)
        }
        JournalCommand::Audit => audit::run(&dir, output),
        JournalCommand::Replay => replay(&dir, output),
    }
}

/// Every entry of a journal; ends with an error where it is damaged.
fn whole(dir: &Path) -> Result<impl Iterator<Item = Result<Entry, Error>>, Error> {
    Ok(Reading::open(dir)?.map(|entry| entry.map_err(Error::from)))
}

fn tell((epoch, head): &(crate::domain::Epoch, Seq), dir: &Path) -> Result<(), Error> {
    let dir = dir.display();
    Ok(output::line(&format!("{head} entries are in {dir}, as journal {epoch}"))?)
}

fn verify(dir: &Path, output: Output) -> Result<(), Error> {
    let reading = Reading::open(dir)?;
    let (epoch, head) = (reading.epoch(), reading.head());
    if let Err(error) = reading.verify() {
        if matches!(error, JournalError::Damaged { .. }) {
            anstream::eprintln!(
                "restore a backup, or copy what is whole into a new journal: lodewatch journal salvage DIR"
            );
        }
        return Err(error.into());
    }
    match output {
        Output::Table => output::line(&format!("{head} entries of journal {epoch}: all whole"))?,
        Output::Json => {
            let found = serde_json::json!({ "entries": head.0, "journal": epoch.to_string() });
            output::line(&found.to_string())?;
        }
    }
    Ok(())
}

/// Copies what is whole before the damage, and says what is lost.
fn salvage(dir: &Path, to: &Path) -> Result<(), Error> {
    let mut reading = Reading::open(dir)?;
    let (head, mut damage) = (reading.head(), None);
    let whole = std::iter::from_fn(|| match reading.next()? {
        Ok(entry) => Some(Ok(entry)),
        Err(error @ JournalError::Damaged { .. }) => {
            damage = Some(error);
            None
        }
        Err(error) => Some(Err(Error::from(error))),
    });
    let (epoch, saved) = write_new(to, whole)?;
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
    for entry in Reading::open(dir)? {
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
    let reading = Reading::open(dir)?;
    let encode = grpc::encoding(reading.epoch()).alert;
    let mut state = State::default();
    for entry in reading {
        for alert in state.apply(&entry?).alerts {
            let alert = grpc::decode(&encode(&alert));
            match output {
                Output::Json => output::json(&alert)?,
                Output::Table => output::line(&output::alert(&alert))?,
            }
        }
    }
    Ok(())
}
