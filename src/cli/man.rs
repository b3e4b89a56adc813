//! `man`: manual pages, made of what `--help` says.

use super::arguments::Arguments;
use super::error::Error;
use super::output;
use clap::CommandFactory;
use clap_mangen::Man;
use std::path::Path;

/// Prints the page of the program, or writes that of every command into a folder.
pub(super) fn run(dir: Option<&Path>) -> Result<(), Error> {
    let command = Arguments::command();
    if let Some(dir) = dir {
        let unable = |source| Error::System {
            doing: format!("{} cannot be written", dir.display()),
            source,
        };
        std::fs::create_dir_all(dir).map_err(unable)?;
        return clap_mangen::generate_to(command, dir).map_err(unable);
    }
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(output::line(String::from_utf8_lossy(&page).trim_end())?)
}
