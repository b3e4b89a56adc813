//! What `lodewatch feed` keeps in sync: a file of its own, for a publisher is no server.

use super::figure;
use super::layers::file_values;
use super::problem::{Origin, Problem, Problems};
use super::table::Table;
use crate::domain::{Slug, slug};
use http::Uri;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most feeds of one file.
const FEEDS_MAX: usize = 100;
/// What is on this machine is looked at so often unless the file says otherwise.
const EVERY_FILE: Duration = Duration::from_secs(10);
/// What somebody else serves.
const EVERY_URL: Duration = Duration::from_hours(1);
/// The shortest time between two looks; the longest is 31 days.
const EVERY_MIN_MS: u64 = 1000;
const EVERY_DAYS_MAX: u64 = 31;

/// One source that is kept in sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// As which feed it publishes; no two of a file have the same.
    pub name: Slug,
    /// How it is read.
    pub format: FeedFormat,
    /// Where it is.
    pub source: FeedSource,
    /// How often it is looked at, from a second to 31 days.
    pub every: Duration,
}

/// How a source is read; see `lodewatch_importers` for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedFormat {
    /// A release of the USGS.
    Usgs,
    /// A table.
    Csv {
        /// The file that says where everything is in it.
        mapping: PathBuf,
    },
    /// Global Trade Alert's export.
    Gta,
    /// A list of measures.
    Events,
    /// Updates, one a line.
    Jsonl,
}

/// Where a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedSource {
    /// Somebody serves it.
    Url {
        /// `http` or `https`, without a password.
        url: Uri,
        /// The file that holds what is to stand in every request's `authorization` header.
        authorization: Option<PathBuf>,
    },
    /// A file, or a folder of which every file is read.
    Path(PathBuf),
}

/// Reads a file of feeds. Its paths are relative to the folder that it is in.
///
/// # Errors
///
/// Everything that is unknown, missing or not allowed, all at once.
pub fn feeds(file: &Path) -> Result<Vec<Feed>, Problems> {
    let mut problems = Problems::default();
    let mut root = Table::root(file_values(file, &mut problems));
    if !problems.is_empty() {
        return Err(problems);
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let tables = root.tables("feed", &mut problems);
    root.finish(&mut problems);
    if tables.is_empty() || tables.len() > FEEDS_MAX {
        let origin = Origin::File(file.display().to_string());
        let fault = format!("has {} feeds; write 1 to {FEEDS_MAX} [[feed]]", tables.len());
        problems.push(Problem { key: String::new(), given: None, origin, fault });
    }
    let mut names = BTreeMap::new();
    let read = |table| feed(table, folder, &mut names, &mut problems);
    let feeds: Vec<Option<Feed>> = tables.into_iter().map(read).collect();
    match feeds.into_iter().collect() {
        Some(feeds) if problems.is_empty() => Ok(feeds),
        _ => Err(problems),
    }
}

/// `names` holds those before it, each with the key that it was given under.
fn feed(
    mut table: Table,
    folder: &Path,
    names: &mut BTreeMap<Slug, String>,
    problems: &mut Problems,
) -> Option<Feed> {
    let name = table.required("name", problems).and_then(|node| {
        let name = node.read(problems, name)?;
        if let Some(other) = names.insert(name.clone(), node.key().to_owned()) {
            node.refuse(problems, format!("is {other} already; each feed has a name of its own"));
        }
        Some(name)
    });
    let mut path = |key| table.optional(key)?.read(problems, |text| Ok(folder.join(text)));
    let (mapping, authorization) = (path("mapping"), path("authorization_file"));
    let format = table.required("format", problems);
    let format = format.and_then(|node| node.read(problems, |text| format_of(text, mapping)));
    let source = table.required("source", problems);
    let source =
        source.and_then(|node| node.read(problems, |text| source_of(text, folder, authorization)));
    let every = match (table.optional("every"), &source) {
        (Some(node), _) => node.read(problems, every),
        (None, Some(FeedSource::Url { .. })) => Some(EVERY_URL),
        (None, Some(FeedSource::Path(_)) | None) => Some(EVERY_FILE),
    };
    table.finish(problems);
    Some(Feed { name: name?, format: format?, source: source?, every: every? })
}

fn name(text: &str) -> Result<Slug, String> {
    Slug::parse(text).ok_or_else(|| format!("must be {}", slug::ALLOWED))
}

fn format_of(text: &str, mapping: Option<PathBuf>) -> Result<FeedFormat, String> {
    let allowed = match (text, mapping) {
        ("usgs", None) => return Ok(FeedFormat::Usgs),
        ("csv", Some(mapping)) => return Ok(FeedFormat::Csv { mapping }),
        ("gta", None) => return Ok(FeedFormat::Gta),
        ("events", None) => return Ok(FeedFormat::Events),
        ("jsonl", None) => return Ok(FeedFormat::Jsonl),
        ("csv", None) => "needs mapping, the file that says where everything is in the table",
        ("usgs" | "gta" | "events" | "jsonl", Some(_)) => {
            "takes no mapping, which is for tables alone"
        }
        _ => "must be usgs, csv, gta, events or jsonl",
    };
    Err(allowed.to_owned())
}

fn source_of(
    text: &str,
    folder: &Path,
    authorization: Option<PathBuf>,
) -> Result<FeedSource, String> {
    const ALLOWED: &str = "must be a file, a folder, http://HOST/… or https://HOST/…";
    if text.is_empty() {
        return Err(ALLOWED.to_owned());
    }
    if !text.contains("://") {
        if authorization.is_some() {
            return Err("takes no authorization_file, which is for addresses alone".to_owned());
        }
        return Ok(FeedSource::Path(folder.join(text)));
    }
    let url = text.parse::<Uri>().map_err(|_| ALLOWED)?;
    let host = url.authority().map_or("", |authority| authority.as_str());
    if host.contains('@') {
        return Err("must not hold a password; name a file with authorization_file".to_owned());
    }
    let is_http = matches!(url.scheme_str(), Some("http" | "https"));
    if is_http { Ok(FeedSource::Url { url, authorization }) } else { Err(ALLOWED.to_owned()) }
}

fn every(text: &str) -> Result<Duration, String> {
    let millis = figure::millis(text, EVERY_DAYS_MAX)?;
    if millis < EVERY_MIN_MS {
        return Err("must be at least \"1s\"".to_owned());
    }
    Ok(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a file of this content in a folder `/FOLDER`, whose problems are one a line.
    fn read(text: &str) -> Result<Vec<Feed>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feeds.toml");
        std::fs::write(&path, text).unwrap();
        let own = folder.path().display().to_string();
        feeds(&path).map_err(|problems| problems.to_string().replace(&own, "/FOLDER"))
    }

    #[test]
    fn feeds_are_files_folders_and_addresses() {
        let feeds = read(
            "[[feed]]\nname = \"usgs\"\nformat = \"usgs\"\nsource = \"https://a.example/mcs.csv?x=y\"\n\
             authorization_file = \"secret\"\n\
             [[feed]]\nname = \"own\"\nformat = \"csv\"\nmapping = \"map.toml\"\nsource = \"/srv/own\"\nevery = \"1h 30m\"\n\
             [[feed]]\nname = \"more\"\nformat = \"jsonl\"\nsource = \"more\"\n",
        );
        let feeds = feeds.unwrap();
        let [usgs, own, more] = &feeds[..] else { panic!("{feeds:?}") };
        let FeedSource::Url { url, authorization } = &usgs.source else { panic!("{usgs:?}") };
        assert_eq!(url, "https://a.example/mcs.csv?x=y");
        assert!(authorization.as_ref().is_some_and(|file| file.ends_with("secret")));
        assert_eq!((usgs.every, more.every), (EVERY_URL, EVERY_FILE));
        assert_eq!(own.source, FeedSource::Path("/srv/own".into()));
        assert_eq!(own.every.as_secs(), 5400);
        let FeedFormat::Csv { mapping } = &own.format else { panic!("{own:?}") };
        let FeedSource::Path(source) = &more.source else { panic!("{more:?}") };
        assert_eq!(mapping.parent(), source.parent(), "both are where the file is");
        assert!(mapping.is_absolute() && mapping.ends_with("map.toml"));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let faulty = read(
            "evry = 1\n[[feed]]\nname = \"a b\"\nformat = \"cvs\"\nsource = \"ftp://host/x\"\nevery = \"soon\"\n\
             [[feed]]\nname = \"a\"\nformat = \"csv\"\nsource = \"http://me:secret@host\"\nevery = \"0s\"\n\
             [[feed]]\nname = \"a\"\nformat = \"gta\"\nmapping = \"m\"\nsource = \"\"\nevery = \"32d\"\n\
             [[feed]]\nsorce = \"x\"\n\
             [[feed]]\nname = \"b\"\nformat = \"gta\"\nsource = \"x\"\nauthorization_file = \"y\"\n",
        );
        let none = read("");
        let broken = read("[[feed]\n");
        let said = [faulty, none, broken].map(|read| read.unwrap_err());
        insta::assert_snapshot!(said.join("\n\n"));
    }
}
