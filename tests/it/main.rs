//! Real servers, real sockets, the real binary: what clients are promised.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    clippy::float_cmp,
    reason = "a failing test may panic"
)]

mod access;
mod addresses;
mod admission;
mod answers;
mod beside;
mod beside_calls;
mod binary;
mod client;
mod clock;
mod crash;
mod cursors;
mod disk;
mod ends;
mod feed_files;
mod growth;
mod health;
mod history;
mod hostile;
mod hostile_words;
mod import;
mod journal;
mod jwt;
mod large_entries;
mod large_state;
mod limits;
mod load;
mod messages;
mod overload;
mod publish;
mod publish_stream;
#[path = "../../fuzz/src/raw_codec.rs"]
#[allow(unreachable_pub, reason = "the fuzz targets use it too")]
mod raw_codec;
mod raw_http2;
mod rebuild;
mod record;
mod reload;
mod simulation;
mod soak;
mod stream_end;
mod subscribe;
mod terminal;
mod tls;
mod traces;
mod watch_markets;
