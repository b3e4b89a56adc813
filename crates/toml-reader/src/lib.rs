//! Reads TOML into typed values and reports every problem at once.
//!
//! Settings, the mapping of a CSV file and the file of identities are read through this crate, so
//! that all of them report problems in the same way: with the key from the root, the value as it
//! was written, where it was written, and what is allowed.
//!
//! ```
//! use lodewatch_toml_reader::{Collector, Table, parse};
//!
//! let collector = Collector::default();
//! let values = parse("port = 99999\nhots = \"a\"").unwrap();
//! let mut table = Table::root(values, &collector);
//! let port = table.read("port", |text| {
//!     text.parse::<u16>().map_err(|_| "must be a port from 0 to 65535")
//! });
//! let host = table.read("host", |text| Ok::<_, String>(text.to_owned()));
//! drop(table); // reports the keys that were not read
//! assert_eq!((port, host), (None, None));
//! let problems: Vec<String> =
//!     collector.finish(()).unwrap_err().iter().map(ToString::to_string).collect();
//! assert_eq!(
//!     problems,
//!     [
//!         "port = 99999: must be a port from 0 to 65535",
//!         "host: is missing",
//!         "hots: unknown key; did you mean host? Allowed keys: host, port",
//!     ]
//! );
//! ```

#![warn(missing_docs)]

mod problem;
mod table;
mod value;

pub use problem::{Collector, Problem, Problems};
pub use table::{Node, Table};
pub use value::{Kind, SyntaxError, Value, parse};
