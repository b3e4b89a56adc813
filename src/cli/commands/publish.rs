//! `publish`: publish a file of updates.

use crate::cli::calls::BatchUpload;
use crate::cli::error::Error;
use crate::cli::input;
use crate::cli::output::print::OutputFormat;
use clap::Args;
use lodewatch_client::Servers;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// JSON Lines file; `-` reads standard input.
    file: PathBuf,
    /// Feed name to publish under.
    #[arg(long, default_value = "cli")]
    feed: String,
    /// Updates per batch, 1 to 1,000; a batch is applied as a whole or not at all.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Mark the updates as an exercise.
    #[arg(long)]
    exercise: bool,
}

pub(crate) async fn run(
    servers: &Servers,
    format: OutputFormat,
    args: &PublishArgs,
) -> Result<(), Error> {
    let upload = BatchUpload {
        feed: &args.feed,
        exercise: args.exercise,
        batch_size: usize::from(args.batch),
        unit: "line",
        updates: &input::read_updates(&args.file)?,
    };
    upload.run(servers, format).await
}
