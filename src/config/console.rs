//! The console: where people and programs in a browser reach the node.

use super::access::{Faulty, address};
use super::problem::Problems;
use super::table::{Node, Table};
use std::net::SocketAddr;

/// The most origins besides the console's own.
const ORIGINS_MAX: usize = 100;

/// The page for people, and the services by gRPC-Web for programs in a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    /// Where it listens; `None` for nowhere. Port 0 lets the system choose.
    pub listen: Option<SocketAddr>,
    /// Pages of these origins may call the services too, such as `https://desk.example`. At most 100.
    pub origins: Vec<String>,
}

/// Reads `[console]`; with the node that says where it listens.
pub(super) fn console(
    table: Option<Table>,
    problems: &mut Problems,
) -> Result<(Console, Node), Faulty> {
    let mut table = table.ok_or(Faulty)?;
    let node = table.required("listen", problems);
    let origins = table.required("origins", problems);
    table.finish(problems);
    let (node, origins) = (node.ok_or(Faulty)?, origins.ok_or(Faulty)?.list(problems));
    let wanted = |text: &str| (!text.is_empty()).then(|| address(text)).transpose();
    let listen = node.read(problems, wanted).ok_or(Faulty)?;
    if let Some(more) = origins.get(ORIGINS_MAX) {
        more.refuse(problems, format!("there may be at most {ORIGINS_MAX} origins"));
        return Err(Faulty);
    }
    let read = |one: &Node| one.read(problems, origin);
    let origins: Vec<Option<String>> = origins.iter().map(read).collect();
    let origins = origins.into_iter().collect::<Option<_>>().ok_or(Faulty)?;
    Ok((Console { listen, origins }, node))
}

/// A scheme, a host and maybe a port, in the one form that browsers send.
fn origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_:[]".contains(&byte);
    match host {
        Some(host) if !host.is_empty() && host.bytes().all(is_plain) => Ok(text.to_owned()),
        Some(_) | None => {
            let allowed = "must be what a browser sends as its origin, in small letters and without a path, such as \
                https://desk.example or http://127.0.0.1:8080";
            Err(allowed.to_owned())
        }
    }
}
