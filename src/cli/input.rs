//! What commands read: files, standard input, and the data directory that the settings name.

use super::error::Error;
use crate::config::{self, Config, Flags};
use crate::feed_sync::parse_json_lines;
use clap::Args;
use lodewatch_proto::v1::Update;
use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Bytes of the largest file to import or to publish.
const BYTES_MAX: u64 = 1 << 30;

/// The data directory of commands that work without a server.
#[derive(Debug, Args)]
pub(super) struct DataDirArgs {
    /// Settings file that names the data directory.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory; overrides the settings.
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
}

impl DataDirArgs {
    pub(super) fn load_config(&self) -> Result<Config, config::Error> {
        let flags = Flags { data_dir: self.data_dir.clone(), listen: None };
        config::load(self.config.as_deref(), &flags)
    }
}

pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(Error::read(path))
}

pub(super) fn read_text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(Error::read(path))
}

/// Opens a file, or standard input for `-`.
pub(super) fn open(path: &Path) -> Result<BufReader<Box<dyn Read>>, Error> {
    Ok(BufReader::new(if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(Error::read(path))?)
    }))
}

/// Reads a whole file, or standard input for `-`, up to a limit.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let too_large = || Error::FileTooLarge { path: path.to_owned(), max: BYTES_MAX };
    let is_large = |file: Metadata| file.is_file() && file.len() > BYTES_MAX;
    if path != Path::new("-") && std::fs::metadata(path).is_ok_and(is_large) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let mut limited = open(path)?.take(BYTES_MAX.saturating_add(1));
    limited.read_to_end(&mut bytes).map_err(Error::read(path))?;
    if limited.limit() == 0 { Err(too_large()) } else { Ok(bytes) }
}

/// The updates of a JSON Lines file, each with its line number.
pub(super) fn read_updates(path: &Path) -> Result<Vec<(usize, Update)>, Error> {
    parse_json_lines(&read(path)?).map_err(Error::import(path))
}
