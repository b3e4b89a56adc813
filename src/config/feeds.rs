//! The file of feeds that `lodewatch feed` keeps in sync. It is a file of its own, because a
//! publisher needs no settings of a server.

use super::layers::{Error, read_toml};
use super::values::{parse_count, parse_millis};
use http::Uri;
use lodewatch_core::domain::{Slug, slug};
use lodewatch_toml_reader::{Collector, Problem, Table, Value};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

const FEEDS_MAX: usize = 100;
/// How often a file or folder is looked at unless the file of feeds says otherwise.
const INTERVAL_OF_PATH: Duration = Duration::from_secs(10);
/// The same for an address.
const INTERVAL_OF_URL: Duration = Duration::from_hours(1);
const INTERVAL_MS_MIN: u64 = 1000;
const INTERVAL_DAYS_MAX: u64 = 31;
/// Bytes of the largest content unless the file of feeds says otherwise.
const BYTES_MAX: u64 = 64 << 20;
const BYTES_MAX_ALLOWED: RangeInclusive<u64> = 1024..=1 << 30;

/// One source that is kept in sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// The feed that it publishes for; unique in a file.
    pub name: Slug,
    pub format: FeedFormat,
    pub source: FeedSource,
    /// How often it is looked at, from a second to 31 days.
    pub interval: Duration,
    /// Bytes of the largest file or answer, from 1 KiB to 1 GiB; a larger one is rejected.
    pub bytes_max: u64,
}

/// How a source is read; see `lodewatch_importers` for each format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedFormat {
    /// A release of the USGS.
    Usgs,
    /// A table, with the file that maps its columns.
    Csv { mapping: PathBuf },
    /// Global Trade Alert's export.
    Gta,
    /// A list of measures.
    Events,
    /// Updates, one per line.
    Jsonl,
}

/// Where a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedSource {
    Url {
        /// `http` or `https`, without a password.
        url: Uri,
        /// The file with the value of every request's `authorization` header.
        authorization: Option<PathBuf>,
    },
    /// A file, or a folder of which every file is read.
    Path(PathBuf),
}

/// Reads a file of feeds. Its paths are relative to the folder of the file.
///
/// # Errors
///
/// Everything that is unknown, missing or not allowed, all at once.
pub fn feeds(file: &Path) -> Result<Vec<Feed>, Error> {
    let (_, values) = read_toml(file).map_err(|problem| Error(problem.into()))?;
    read(file, values)
}

fn read(file: &Path, values: Value) -> Result<Vec<Feed>, Error> {
    let collector = Collector::default();
    let mut root = Table::root(values, &collector);
    let tables = root.tables("feed");
    drop(root);
    if tables.is_empty() || tables.len() > FEEDS_MAX {
        let fault = format!("has {} feeds; write 1 to {FEEDS_MAX} [[feed]]", tables.len());
        let key = file.display().to_string();
        collector.push(Problem { key, given: None, origin: None, fault });
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut names = BTreeMap::new();
    let feeds = tables.into_iter().filter_map(|table| feed(table, folder, &mut names)).collect();
    collector.finish(feeds).map_err(Error)
}

/// Reads one feed; `names` holds the names of those before, each with its key.
fn feed(mut table: Table<'_>, folder: &Path, names: &mut BTreeMap<Slug, String>) -> Option<Feed> {
    let name = table.required("name").and_then(|node| {
        let name = node.read(parse_name)?;
        if let Some(other) = names.insert(name.clone(), node.key().to_owned()) {
            node.reject(format!("is the same as {other}"));
        }
        Some(name)
    });
    let mut path = |key| table.optional(key)?.read(|text| Ok::<_, String>(folder.join(text)));
    let (mapping, authorization) = (path("mapping"), path("authorization_file"));
    let format = table.read("format", |text| parse_format(text, mapping));
    let source = table.read("source", |text| parse_source(text, folder, authorization));
    let interval = match (table.optional("interval"), &source) {
        (Some(node), _) => node.read(parse_interval),
        (None, Some(FeedSource::Url { .. })) => Some(INTERVAL_OF_URL),
        (None, Some(FeedSource::Path(_)) | None) => Some(INTERVAL_OF_PATH),
    };
    let bytes_max = match table.optional("bytes_max") {
        Some(node) => node.read(|text| parse_count(text, &BYTES_MAX_ALLOWED)),
        None => Some(BYTES_MAX),
    };
    let (name, format, source) = (name?, format?, source?);
    Some(Feed { name, format, source, interval: interval?, bytes_max: bytes_max? })
}

fn parse_name(text: &str) -> Result<Slug, String> {
    Slug::parse(text).ok_or_else(|| format!("must be {}", slug::ALLOWED))
}

fn parse_format(text: &str, mapping: Option<PathBuf>) -> Result<FeedFormat, &'static str> {
    match (text, mapping) {
        ("usgs", None) => Ok(FeedFormat::Usgs),
        ("csv", Some(mapping)) => Ok(FeedFormat::Csv { mapping }),
        ("gta", None) => Ok(FeedFormat::Gta),
        ("events", None) => Ok(FeedFormat::Events),
        ("jsonl", None) => Ok(FeedFormat::Jsonl),
        ("csv", None) => Err("needs mapping, the file that maps the columns of the table"),
        ("usgs" | "gta" | "events" | "jsonl", Some(_)) => {
            Err("does not use mapping; only csv does")
        }
        _ => Err("must be usgs, csv, gta, events or jsonl"),
    }
}

fn parse_source(
    text: &str,
    folder: &Path,
    authorization: Option<PathBuf>,
) -> Result<FeedSource, &'static str> {
    const ALLOWED: &str = "must be a file, a folder, http://HOST/… or https://HOST/…";
    if text.is_empty() {
        return Err(ALLOWED);
    }
    if !text.contains("://") {
        if authorization.is_some() {
            return Err("does not use authorization_file; only an address does");
        }
        return Ok(FeedSource::Path(folder.join(text)));
    }
    let url = text.parse::<Uri>().map_err(|_| ALLOWED)?;
    let host = url.authority().map_or("", |authority| authority.as_str());
    if host.contains('@') {
        return Err("must not contain a password; name a file with authorization_file");
    }
    let is_http = matches!(url.scheme_str(), Some("http" | "https"));
    if is_http { Ok(FeedSource::Url { url, authorization }) } else { Err(ALLOWED) }
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let millis = parse_millis(text, INTERVAL_DAYS_MAX)?;
    if millis < INTERVAL_MS_MIN {
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
             [[feed]]\nname = \"own\"\nformat = \"csv\"\nmapping = \"map.toml\"\nsource = \"/srv/own\"\ninterval = \"1h 30m\"\nbytes_max = 1024\n\
             [[feed]]\nname = \"more\"\nformat = \"jsonl\"\nsource = \"more\"\n",
        );
        let feeds = feeds.unwrap();
        let [usgs, own, more] = &feeds[..] else { panic!("{feeds:?}") };
        let FeedSource::Url { url, authorization } = &usgs.source else { panic!("{usgs:?}") };
        assert_eq!(url, "https://a.example/mcs.csv?x=y");
        assert!(authorization.as_ref().is_some_and(|file| file.ends_with("secret")));
        assert_eq!((usgs.interval, more.interval), (INTERVAL_OF_URL, INTERVAL_OF_PATH));
        assert_eq!(own.source, FeedSource::Path("/srv/own".into()));
        assert_eq!(own.interval.as_secs(), 5400);
        assert_eq!((own.bytes_max, more.bytes_max), (1024, BYTES_MAX));
        let FeedFormat::Csv { mapping } = &own.format else { panic!("{own:?}") };
        let FeedSource::Path(source) = &more.source else { panic!("{more:?}") };
        assert_eq!(mapping.parent(), source.parent(), "both are where the file is");
        assert!(mapping.is_absolute() && mapping.ends_with("map.toml"));
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let invalid = read(
            "evry = 1\n[[feed]]\nname = \"a b\"\nformat = \"cvs\"\nsource = \"ftp://host/x\"\ninterval = \"soon\"\n\
             [[feed]]\nname = \"a\"\nformat = \"csv\"\nsource = \"http://me:secret@host\"\ninterval = \"0s\"\nbytes_max = 1073741825\n\
             [[feed]]\nname = \"a\"\nformat = \"gta\"\nmapping = \"m\"\nsource = \"\"\ninterval = \"32d\"\n\
             [[feed]]\nsorce = \"x\"\n\
             [[feed]]\nname = \"b\"\nformat = \"gta\"\nsource = \"x\"\nauthorization_file = \"y\"\n",
        );
        let none = read("");
        let broken = read("[[feed]\n");
        let errors = [invalid, none, broken].map(|read| read.unwrap_err());
        insta::assert_snapshot!(errors.join("\n\n"));
    }
}
