//! `completions` and `man`: generated from the command line's definition.

use crate::cli::error::Error;
use crate::cli::output::print;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell that the script is for.
    shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Directory for one page per command; created if missing.
    dir: Option<PathBuf>,
}

pub(crate) fn print_completions(
    mut command_line: Command,
    args: &CompletionsArgs,
) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command_line, "lodewatch", &mut script);
    Ok(print::line(String::from_utf8_lossy(&script).trim_end())?)
}

/// Prints the program's manual page, or writes one page per command to a directory.
pub(crate) fn write_manual(command_line: Command, args: &ManArgs) -> Result<(), Error> {
    if let Some(dir) = &args.dir {
        let failed = || Error::system(format!("cannot write to {}", dir.display()));
        std::fs::create_dir_all(dir).map_err(failed())?;
        return clap_mangen::generate_to(command_line, dir).map_err(failed());
    }
    let mut page = Vec::new();
    Man::new(command_line).render(&mut page)?;
    Ok(print::line(String::from_utf8_lossy(&page).trim_end())?)
}
