//! Real servers, real sockets, the real binary: what clients are promised.

mod binary;
mod crash;
mod harness;
mod history;
mod publish;
mod rebuild;
mod samples;
mod subscribe;
