//! Messages ↔ domain values, and both as bytes and text. Knows no service, no connection, no
//! status.
//!
//! ```text
//! message ─ parse ─► domain value      every bad field is named, all of them at once
//! domain value ─ render ─► message     cannot fail
//! ```
//!
//! - [`parse`], [`render`]: requests and responses
//! - [`json`]: protobuf's JSON mapping
//! - `enums`: our enums and the wire's
//! - `tokens`: cursors and page tokens, as opaque text
//! - `pages`: how many items fit into a message
//! - `frames`: alerts as bytes, encoded once

mod enums;
pub(super) mod frames;
pub mod json;
pub(super) mod pages;
pub mod parse;
pub mod render;
pub(super) mod tokens;
