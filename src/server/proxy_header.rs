//! The PROXY protocol, by which a trusted proxy says whose connection it forwards.
//!
//! Specification: <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>. Version 2 may
//! arrive in pieces; version 1 must arrive in one, as the specification asks of senders.

use proxy_header::{ParseConfig, ProxyHeader};
use std::io;
use std::net::IpAddr;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What a header of version 1 begins with. An HTTP/2 preface begins with `PRI`.
const V1_START: &[u8] = b"PROXY ";
/// Bytes of the longest header of version 1.
const V1_BYTES_MAX: usize = 107;
/// Bytes of a header of version 2 before its addresses; the last two say how many follow.
const V2_START_BYTES: usize = 16;
/// How many may follow: what a proxy says about TLS fits many times over.
const V2_BYTES_MAX: u16 = 4096;

/// Reads the header that a connection may begin with, and nothing after it: the address of the
/// client. `None` without a header, and where the proxy connects for itself, as to check health.
///
/// # Errors
///
/// If the header is malformed, too long or incomplete, or the connection fails.
pub(super) async fn read_client(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    let mut seen = [0; V1_BYTES_MAX];
    let count = stream.peek(&mut seen).await?;
    let seen = seen.get(..count).unwrap_or_default();
    if seen.starts_with(V1_START) {
        let (client, length) = parse(seen)?;
        stream.read_exact(&mut vec![0; length]).await?;
        return Ok(client);
    }
    // Version 2 is the only protocol that begins with an empty line.
    if !seen.starts_with(b"\r") {
        return Ok(None);
    }
    let mut header = vec![0; V2_START_BYTES];
    stream.read_exact(&mut header).await?;
    // The signature is checked before anything more is waited for.
    let more = match header.as_slice() {
        [
            b'\r',
            b'\n',
            b'\r',
            b'\n',
            0,
            b'\r',
            b'\n',
            b'Q',
            b'U',
            b'I',
            b'T',
            b'\n',
            _,
            _,
            high,
            low,
        ] => u16::from_be_bytes([*high, *low]),
        _ => return Err(malformed()),
    };
    if more > V2_BYTES_MAX {
        return Err(malformed());
    }
    header.resize(V2_START_BYTES.saturating_add(usize::from(more)), 0);
    stream.read_exact(header.get_mut(V2_START_BYTES..).unwrap_or_default()).await?;
    Ok(parse(&header)?.0)
}

/// The client in a header, and the header's length in bytes.
fn parse(header: &[u8]) -> io::Result<(Option<IpAddr>, usize)> {
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let (header, length) = ProxyHeader::parse(header, config).map_err(|_| malformed())?;
    Ok((header.proxied_address().map(|address| address.source.ip()), length))
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed PROXY header")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proxy_header::{ProxiedAddress, Tlv};
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    /// What is read of a connection on which these bytes arrive, and what is left of them.
    async fn read(sent: &[u8]) -> (io::Result<Option<IpAddr>>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(sent).await.unwrap();
        client.shutdown().await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let result = read_client(&mut stream).await;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        (result, rest)
    }

    fn header(client: &str) -> ProxyHeader<'static> {
        let (source, other) = (client.parse().unwrap(), "[2001:db8::9]:443".parse().unwrap());
        let to = if client.starts_with('[') { other } else { "192.0.2.9:443".parse().unwrap() };
        ProxyHeader::with_address(ProxiedAddress::stream(source, to))
    }

    fn version_2(header: &ProxyHeader<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        header.encode_v2(&mut bytes).unwrap();
        bytes
    }

    #[tokio::test]
    async fn a_header_is_read_and_nothing_after_it() {
        let mut with_more = header("198.51.100.7:4711");
        with_more.append_tlv(Tlv::Authority("desk.example".into()));
        let mut version_1 = Vec::new();
        header("[2001:db8::7]:4711").encode_v1(&mut version_1).unwrap();
        for (sent, client) in [
            (version_2(&header("198.51.100.7:4711")), Some("198.51.100.7")),
            (version_2(&header("[2001:db8::7]:4711")), Some("2001:db8::7")),
            (version_2(&with_more), Some("198.51.100.7")),
            (version_2(&ProxyHeader::with_local()), None),
            (version_1, Some("2001:db8::7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (Vec::new(), None),
        ] {
            let (read, rest) = read(&[&sent, &b"PRI * HTTP/2.0"[..]].concat()).await;
            assert_eq!(read.unwrap(), client.map(|client| client.parse().unwrap()), "{sent:?}");
            assert_eq!(rest, b"PRI * HTTP/2.0", "{sent:?}");
        }
    }

    #[tokio::test]
    async fn a_malformed_header_is_an_error() {
        let valid = version_2(&header("198.51.100.7:4711"));
        let change = |at: usize, to: u8| {
            let mut bytes = valid.clone();
            bytes[at] = to;
            bytes
        };
        for sent in [
            change(4, 1),
            change(12, 0x31),
            change(13, 0x99),
            // Longer than allowed, and shorter than its addresses.
            change(14, 0x20),
            change(15, 4),
            valid[..20].to_vec(),
            b"\r\n\r\n".to_vec(),
            b"PROXY TCP4 nonsense\r\n".to_vec(),
            [b"PROXY TCP4 198.51.100.7 ", &[b'1'; 200][..]].concat(),
        ] {
            read(&sent).await.0.unwrap_err();
        }
    }
}
