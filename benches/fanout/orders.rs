//! How the bench's own servers are told to publish: a number of messages on standard input, four bytes each time.

use crate::shared::process::Process;
use std::io::{Read, Write};

/// Orders messages.
pub(crate) fn order(process: &mut Process, messages: usize) {
    let orders = process.child.stdin.as_mut().unwrap();
    orders.write_all(&u32::try_from(messages).unwrap().to_be_bytes()).unwrap();
}

/// Does what standard input orders, so many messages each time, until it is closed.
pub(crate) async fn obey(mut publish: impl FnMut(u32) + Send + 'static) {
    let read = move || {
        let (mut orders, mut order) = (std::io::stdin().lock(), [0; 4]);
        while orders.read_exact(&mut order).is_ok() {
            publish(u32::from_be_bytes(order));
        }
    };
    tokio::task::spawn_blocking(read).await.unwrap();
}
