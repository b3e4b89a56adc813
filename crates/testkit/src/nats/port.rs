//! Ports that stay reserved while no server listens on them.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;

/// Below the system's ephemeral ports, so that a stopped server finds its port free again.
const NUMBERS: Range<u16> = 20_000..32_000;
/// Number of ports to try.
const TRIES_MAX: usize = 1000;

/// A TCP port of this machine that no other test uses.
pub struct Port {
    pub number: u16,
    /// The UDP port of the same number, which reserves this one among tests.
    _reservation: UdpSocket,
}

impl Port {
    /// Reserves an unused port.
    pub fn take() -> Self {
        let host = Ipv4Addr::LOCALHOST;
        let mut numbers = std::iter::repeat_with(|| fastrand::u16(NUMBERS)).take(TRIES_MAX);
        let port = numbers.find_map(|number| {
            let reservation = UdpSocket::bind((host, number)).ok()?;
            TcpListener::bind((host, number)).ok()?;
            Some(Self { number, _reservation: reservation })
        });
        port.expect("one of twelve thousand ports is free")
    }
}
