//! The control channel of this benchmark's own servers: numbers of messages to publish, on standard
//! input, four bytes each.

use lodewatch_testkit::process::Process;
use std::io::{Read, Write};

/// Requests messages.
pub(crate) fn order(process: &mut Process, messages: usize) {
    let orders = process.child.stdin.as_mut().unwrap();
    orders.write_all(&u32::try_from(messages).unwrap().to_be_bytes()).unwrap();
}

/// Publishes the number of messages that standard input requests, each time, until it is closed.
pub(crate) async fn obey(mut publish: impl FnMut(u32) + Send + 'static) {
    let read = move || {
        let (mut orders, mut order) = (std::io::stdin().lock(), [0; 4]);
        while orders.read_exact(&mut order).is_ok() {
            publish(u32::from_be_bytes(order));
        }
    };
    tokio::task::spawn_blocking(read).await.unwrap();
}
