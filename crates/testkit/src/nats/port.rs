//! Ports that stay ours while nobody listens on them.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;

/// Below those that the system gives to whoever asks for any: a server that is down for a while finds its port free again.
const NUMBERS: Range<u16> = 20_000..32_000;
/// So many are tried before it is said that none is free.
const TRIES_MAX: usize = 1000;

/// A TCP port of this machine that no other test uses.
pub struct Port {
    pub number: u16,
    /// The UDP port of the same number, which tells other tests that this one is taken.
    _taken: UdpSocket,
}

impl Port {
    /// Takes one that nobody listens on.
    pub fn take() -> Self {
        let host = Ipv4Addr::LOCALHOST;
        let mut numbers = std::iter::repeat_with(|| fastrand::u16(NUMBERS)).take(TRIES_MAX);
        let taken = numbers.find_map(|number| {
            let taken = UdpSocket::bind((host, number)).ok()?;
            TcpListener::bind((host, number)).ok()?;
            Some(Self { number, _taken: taken })
        });
        taken.expect("one of twelve thousand ports is free")
    }
}
