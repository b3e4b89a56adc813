//! Prints each alert once, across restarts and lost connections.
//!
//!     cargo run --example subscribe -- CURSOR_FILE HOST:PORT [HOST:PORT ...]
//!
//! `CURSOR_FILE` keeps the cursor, so that the next run resumes where this one stopped. Without the
//! file the stream starts with a snapshot of the active alerts. [`Subscription`] is the loop.

use lodewatch_client::{Resumed, Servers, Subscription};
use lodewatch_proto::v1::SubscribeRequest;
use lodewatch_proto::v1::subscribe_response::Message;
use std::error::Error;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: subscribe CURSOR_FILE HOST:PORT [HOST:PORT ...]";
    let path = arguments.next().map(PathBuf::from).ok_or(usage)?;
    let servers = arguments.collect::<Vec<_>>();
    let servers = Servers::parse(servers.iter().map(String::as_str))?;
    let cursor = match std::fs::read_to_string(&path) {
        Ok(cursor) => cursor,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    let request = SubscribeRequest { cursor, ..SubscribeRequest::default() };
    let mut subscription = Subscription::new(servers, request);
    loop {
        // Requesting the next message marks the previous one as handled.
        let message = match subscription.next().await? {
            Resumed::Message(message) => message,
            Resumed::Lost(status) => {
                eprintln!("{}; resuming from the cursor", status.message());
                continue;
            }
        };
        if let Some(Message::Alerts(alerts)) = &message.message {
            let mut out = std::io::stdout().lock();
            for alert in &alerts.alerts {
                writeln!(out, "{} {}", alert.sequence, alert.sentence)?;
            }
        }
        // Empty until the end of a snapshot: an interrupted one is sent again as a whole.
        if !message.cursor.is_empty() {
            // Replace the file atomically. If alerts go to a database, save the cursor there, in
            // the same transaction.
            let new = path.with_extension("new");
            std::fs::write(&new, &message.cursor)?;
            std::fs::rename(&new, &path)?;
        }
    }
}
