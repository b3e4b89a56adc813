//! `feed --status`: how sources stand.

use super::arguments::Output;
use super::error::Error;
use super::output;
use crate::config::Feed;
use crate::feed_sync::{self, Entry, Sources};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;

/// How one source stands, or one file of a folder.
struct Standing {
    feed: String,
    file: String,
    entry: Entry,
}

/// Prints them; an error where not everything is in sync.
pub(super) fn print(output: Output, feeds: &[Feed], mut sources: Sources) -> Result<(), Error> {
    let mut standings = Vec::new();
    for Feed { name, .. } in feeds {
        let entries = sources.remove(name.as_str()).unwrap_or_default();
        let feed = name.to_string();
        if entries.is_empty() {
            let (file, entry) = (String::new(), Entry::default());
            standings.push(Standing { feed, file, entry });
            continue;
        }
        let standing = |(file, entry)| Standing { feed: feed.clone(), file, entry };
        standings.extend(entries.into_iter().map(standing));
    }
    match output {
        Output::Json => {
            for standing in &standings {
                output::line(&json(standing).to_string())?;
            }
        }
        Output::Table | Output::Csv => output::line(&table(&standings))?,
    }
    let troubled = standings.iter().filter(|standing| standing.entry.trouble.is_some());
    let troubled: BTreeSet<&str> = troubled.map(|standing| standing.feed.as_str()).collect();
    match troubled.len() {
        0 => Ok(()),
        count => Err(feed_sync::Error::Trouble(count, feeds.len()).into()),
    }
}

/// What was never published is `null`, and so is trouble that there is none.
fn json(Standing { feed, file, entry }: &Standing) -> Value {
    let published = entry.published.as_ref().map(|published| {
        json!({
            "at": published.at_ms.to_string(),
            "taken": published.taken,
            "leftOut": published.left_out,
            "outcomes": published.outcomes,
        })
    });
    let trouble = entry.trouble.as_ref();
    let trouble =
        trouble.map(|trouble| json!({ "since": trouble.since_ms.to_string(), "why": trouble.why }));
    json!({ "feed": feed, "file": file, "published": published, "trouble": trouble })
}

/// A line each; then what is wrong, in full.
fn table(standings: &[Standing]) -> String {
    let mut table = output::table(&["feed", "file", "published", "taken", "left out", "", ""]);
    let mut troubles = String::new();
    for Standing { feed, file, entry } in standings {
        let mut row = vec![feed.clone(), file.clone()];
        row.extend(match &entry.published {
            Some(published) => [
                published.at_ms.to_string(),
                published.taken.clone(),
                published.left_out.to_string(),
                published.outcomes.to_string(),
            ],
            None => ["never", "", "", ""].map(str::to_owned),
        });
        row.push(entry.trouble.as_ref().map_or("", |_| "NOT IN SYNC").to_owned());
        table.add_row(row);
        if let Some(trouble) = &entry.trouble {
            let of = if file.is_empty() { feed.clone() } else { format!("{feed}, {file}") };
            // Writing to a string cannot fail.
            let _ = write!(troubles, "\n{of}: since {}: {}", trouble.since_ms, trouble.why);
        }
    }
    format!("{table}{troubles}")
}
