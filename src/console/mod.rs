//! The console: a page for people, and the services by gRPC-Web for what runs in a browser.
//!
//! ```text
//! browser ─► site: does it mean us, and is it our page that asks? ─┬─ GET / ─► files (compiled in)
//!                                                                  └─ POST /service/method ─► gRPC-Web ─► gate ─► service
//! ```
//!
//! The page is a client like any other: it knows nothing but the protocol, and may do what its token may. Its sources are in
//! `page/`, and `page/dist` is made of them by `npm run build`, which `tests/all.sh` repeats and compares.
//!
//! - [`router`]: all of it
//! - `site`: which hosts and origins are answered
//! - `files`: the page

mod files;
mod router;
mod site;

pub use router::router;
