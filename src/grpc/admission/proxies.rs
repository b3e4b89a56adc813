//! Proxies that say which client they act for, and how they say it with `x-forwarded-for`.

use http::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const HEADER: &str = "x-forwarded-for";

/// The networks of the proxies whose word counts.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Networks of IPv4-mapped IPv6 addresses are of no use: addresses are compared in their
    /// canonical form.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client of a call that a trusted proxy of address `from` forwarded: in
    /// `x-forwarded-for`, the right-most address that is not of a trusted proxy. Every proxy
    /// appends the address that it received the call from, so what is further left may be made up.
    /// Where a trusted proxy wrote no address, it is the client itself.
    pub(super) fn client_of(&self, from: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = from;
        let lines = headers.get_all(HEADER).iter().rev().map(|line| line.to_str());
        for line in lines {
            for hop in line.unwrap_or_default().rsplit(',') {
                let Some(address) = parse_hop(hop.trim()) else { return client };
                client = address;
                if !self.contains(client) {
                    return client;
                }
            }
        }
        client
    }
}

/// An address, which some proxies write with the port.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    text.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_right_most_address_that_is_no_trusted_proxy() {
        let networks = ["10.0.0.0/8", "fd00::/8", "192.0.2.9/32"];
        let proxies = TrustedProxies::new(networks.map(|text| text.parse().unwrap()).to_vec());
        let from: IpAddr = "10.0.0.1".parse().unwrap();
        for (lines, client) in [
            (&[][..], "10.0.0.1"),
            (&["198.51.100.7"], "198.51.100.7"),
            (&["203.0.113.1, 198.51.100.7"], "198.51.100.7"),
            (&["203.0.113.1, 198.51.100.7 ,10.1.1.1"], "198.51.100.7"),
            (&["203.0.113.1", "198.51.100.7", "fd00::5, 192.0.2.9"], "198.51.100.7"),
            (&["::ffff:198.51.100.7"], "198.51.100.7"),
            (&["198.51.100.7, ::ffff:10.1.1.1"], "198.51.100.7"),
            (&["198.51.100.7:4711"], "198.51.100.7"),
            (&["[2001:db8::7]:4711"], "2001:db8::7"),
            // Only proxies: the first of them.
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // Nothing left of what no proxy writes is looked at.
            (&["198.51.100.7, unknown, 10.1.1.1"], "10.1.1.1"),
            (&["unknown"], "10.0.0.1"),
            (&["198.51.100.7", "\u{e9}"], "10.0.0.1"),
            (&[""], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(HEADER, http::HeaderValue::from_str(line).unwrap());
            }
            let found = proxies.client_of(from, &headers);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{lines:?}");
        }
    }
}
