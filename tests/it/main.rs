//! Real servers, real sockets, the real binary: what clients are promised.

mod harness;
mod publish;
mod samples;
