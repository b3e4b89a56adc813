//! Prints each alert once, across restarts and lost connections.
//!
//!     cargo run --example subscribe -- CURSOR_FILE HOST:PORT [HOST:PORT ...]
//!
//! `CURSOR_FILE` keeps the cursor, so that the next run resumes where this one stopped. Without the
//! file the stream starts with a snapshot of the active alerts. [`Subscription`] is the loop.

use lodewatch_client::{CursorStore, FileCursorStore, Servers, StreamEvent, Subscription};
use lodewatch_proto::v1::SubscribeRequest;
use lodewatch_proto::v1::subscribe_response::Message;
use std::error::Error;
use std::io::Write;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: subscribe CURSOR_FILE HOST:PORT [HOST:PORT ...]")?;
    let mut cursors = FileCursorStore::new(path.into());
    let servers = arguments.collect::<Vec<_>>();
    let servers = Servers::parse(servers.iter().map(String::as_str))?;
    let request = SubscribeRequest { cursor: cursors.load()?, ..SubscribeRequest::default() };
    let mut subscription = Subscription::new(servers, request);
    loop {
        // Requesting the next message marks the previous one as handled.
        let message = match subscription.next().await? {
            StreamEvent::Message(message) => message,
            StreamEvent::Disconnected(status) => {
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
            // If alerts go to a database, store the cursor there, in the same transaction.
            cursors.store(&message.cursor)?;
        }
    }
}
