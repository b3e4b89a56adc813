//! Where the server listens, and what keeps a port from being open to other machines by mistake.

use super::access::{Access, Tls};
use super::values::{parse_address, parse_network};
use ipnet::IpNet;
use lodewatch_toml_reader::{Node, Table};
use std::net::SocketAddr;

const ORIGINS_MAX: usize = 100;
const TRUSTED_PROXIES_MAX: usize = 100;

/// The port for probes: `grpc.health.v1` and nothing else, without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `None` where it is off.
    pub listen: Option<SocketAddr>,
}

/// The port for metrics: `/metrics` and nothing else, over HTTP/1.1, without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// `None` where it is off.
    pub listen: Option<SocketAddr>,
}

/// The console, and the services by gRPC-Web for programs in a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    /// `None` where it is off. Port 0 lets the system choose.
    pub listen: Option<SocketAddr>,
    /// Pages of these origins may call the services too, such as `https://desk.example`. At most
    /// 100.
    pub origins: Vec<String>,
}

/// Reads a table that only says where a port listens; `None` where it is off.
pub(super) fn port(mut table: Table<'_>) -> Option<SocketAddr> {
    table.required("listen").and_then(|node| listen(&node))
}

/// Reads `[console]`, with the node that says where it listens.
pub(super) fn console(mut table: Table<'_>) -> Option<(Console, Node<'_>)> {
    let node = table.required("listen");
    let origins = table.required("origins")?.split_at_commas();
    if let Some(more) = origins.parts().get(ORIGINS_MAX) {
        more.reject(format!("there may be at most {ORIGINS_MAX} origins"));
    }
    let node = node?;
    let console = Console { listen: listen(&node), origins: origins.read_list(parse_origin) };
    Some((console, node))
}

/// Reads the list of trusted proxies.
pub(super) fn trusted_proxies(table: &mut Table<'_>) -> Vec<IpNet> {
    let Some(node) = table.required("trusted_proxies") else { return Vec::new() };
    let networks = node.split_at_commas();
    if let Some(more) = networks.parts().get(TRUSTED_PROXIES_MAX) {
        more.reject(format!("there may be at most {TRUSTED_PROXIES_MAX} trusted proxies"));
    }
    networks.read_list(parse_network)
}

/// Where a port listens; `None` where that is left empty.
fn listen(node: &Node<'_>) -> Option<SocketAddr> {
    node.read(|text| (!text.is_empty()).then(|| parse_address(text)).transpose()).flatten()
}

/// A scheme, a host and maybe a port, in the one form that browsers send.
fn parse_origin(text: &str) -> Result<String, &'static str> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_:[]".contains(&byte);
    match host {
        Some(host) if !host.is_empty() && host.bytes().all(is_plain) => Ok(text.to_owned()),
        Some(_) | None => Err(
            "must be an origin as browsers send it, in small letters and without a path, such as \
             https://desk.example or http://127.0.0.1:8080",
        ),
    }
}

/// Rejects an address that other machines reach without TLS and authentication, with the lines to
/// add.
pub(super) fn check_exposure(
    address: Option<SocketAddr>,
    listen: &Node<'_>,
    insecure: bool,
    tls: Option<&Tls>,
    access: &Access,
) {
    let is_safe = tls.is_some() && access.identities.is_some();
    if address.is_none_or(|one| one.ip().to_canonical().is_loopback()) || insecure || is_safe {
        return;
    }
    let mut fault =
        "other machines can reach this address, which needs TLS and authentication; add:"
            .to_owned();
    if tls.is_none() {
        fault.push_str(
            "\n    [tls]\n    certificate = \"/etc/lodewatch/tls.crt\"\n    \
             key = \"/etc/lodewatch/tls.key\"",
        );
    }
    if access.identities.is_none() {
        fault.push_str("\n    [access]\n    identities = \"/etc/lodewatch/identities.toml\"");
    }
    fault.push_str(
        "\n  or, where a proxy in front of the server does both:\n    [server]\n    insecure = true",
    );
    listen.reject(fault);
}
