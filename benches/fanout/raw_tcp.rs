//! The lower limit: the same bytes, written to plain sockets. Every connection is an offset in one
//! repeating pattern.

use crate::orders::obey;
use bytes::Bytes;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Limit of one write, in bytes.
const WRITE_BYTES: usize = 64 * 1024;

/// Serves the message in a file, as many times as standard input requests.
pub(crate) async fn serve(file: &str) {
    let message = std::fs::read(file).unwrap();
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(&message);
    let size = framed.len();
    let pattern = Bytes::from(framed.repeat(WRITE_BYTES / size + 2));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    eprintln!("listening on {}", listener.local_addr().unwrap());
    let head = Arc::new(watch::Sender::new(0_usize));
    tokio::spawn({
        let head = Arc::clone(&head);
        async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                tokio::spawn(write(socket, head.subscribe(), pattern.clone(), size));
            }
        }
    });
    obey(move |messages| head.send_modify(|head| *head += messages as usize * size)).await;
}

async fn write(
    mut socket: TcpStream,
    mut head: watch::Receiver<usize>,
    pattern: Bytes,
    size: usize,
) {
    let mut sent = 0;
    loop {
        let Ok(until) = head.wait_for(|head| *head > sent).await.map(|head| *head) else { return };
        while sent < until {
            let begin = sent % size;
            let end = pattern.len().min(begin + (until - sent)).min(begin + WRITE_BYTES);
            let Ok(written) = socket.write(&pattern[begin..end]).await else { return };
            sent += written;
        }
    }
}
