//! NATS and Redis. Both push a line of text and the message, of the same length each time. So a
//! subscriber counts bytes as over plain TCP, which is cheaper than any of their clients. The
//! requests are a few constant texts, so no client crate is needed.

use crate::peer;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

/// The requests to a server. A push or publish continues with the message's length and bytes.
#[derive(Debug)]
pub(crate) struct Protocol {
    /// Sent first on every connection.
    connect: &'static str,
    subscribe: &'static str,
    /// The end of the reply to it.
    subscribed: &'static str,
    publish: &'static str,
    push: &'static str,
}

/// A keepalive of six bytes, at most twice in a run.
pub(crate) const NATS: Protocol = Protocol {
    connect: "CONNECT {\"verbose\":false}\r\n",
    subscribe: "SUB alerts 1\r\nPING\r\n",
    subscribed: "PONG\r\n",
    publish: "PUB alerts ",
    push: "MSG alerts 1 ",
};

pub(crate) const REDIS: Protocol = Protocol {
    connect: "",
    subscribe: "*2\r\n$9\r\nSUBSCRIBE\r\n$6\r\nalerts\r\n",
    subscribed: "$6\r\nalerts\r\n:1\r\n",
    publish: "*3\r\n$7\r\nPUBLISH\r\n$6\r\nalerts\r\n$",
    push: "*3\r\n$7\r\nmessage\r\n$6\r\nalerts\r\n$",
};

impl Protocol {
    /// The size of a push of a message, in bytes.
    pub(crate) fn push_bytes(&self, message: &[u8]) -> usize {
        framed(self.push, message).len()
    }

    /// Opens a subscribed connection.
    pub(crate) async fn subscribe(&self, address: &str) -> TcpStream {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(self.connect.as_bytes()).await.unwrap();
        socket.write_all(self.subscribe.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(self.subscribed.as_bytes()) {
            assert_ne!(socket.read_buf(&mut answer).await.unwrap(), 0, "the server hung up");
        }
        socket
    }

    /// Opens a connection that publishes a message.
    pub(crate) async fn publisher(&self, address: &str, message: &[u8]) -> Publisher {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        socket.write_all(self.connect.as_bytes()).await.unwrap();
        let (mut answers, orders) = socket.into_split();
        // Keep reading, so that the server can always write.
        tokio::spawn(async move { tokio::io::copy(&mut answers, &mut tokio::io::sink()).await });
        Publisher { orders, order: framed(self.publish, message) }
    }
}

/// A connection that publishes one message repeatedly.
pub(crate) struct Publisher {
    orders: OwnedWriteHalf,
    order: Vec<u8>,
}

impl Publisher {
    /// Publishes it this number of times.
    pub(crate) async fn publish(&mut self, times: usize) {
        self.orders.write_all(&self.order.repeat(times)).await.unwrap();
    }
}

fn framed(head: &str, message: &[u8]) -> Vec<u8> {
    [head.as_bytes(), message.len().to_string().as_bytes(), b"\r\n", message, b"\r\n"].concat()
}

/// The command that starts NATS. Its limits are far above what is ever in flight.
pub(crate) fn nats(program: &Path, port: u16, _: &TempDir) -> Command {
    let mut command = Command::new(program);
    command.args(["--addr", peer::HOST, "--port"]).arg(port.to_string());
    command
}

/// The command that starts Redis: without persistence, and without disconnecting slow subscribers.
pub(crate) fn redis(program: &Path, port: u16, dir: &TempDir) -> Command {
    let mut command = Command::new(program);
    command.args(["--bind", peer::HOST, "--save", "", "--port"]).arg(port.to_string());
    command.args(["--client-output-buffer-limit", "pubsub 0 0 0", "--dir"]).arg(dir.path());
    command
}
