//! The console: a page for people, and the services by gRPC-Web for what runs in a browser.
//!
//! ```text
//! browser ─► site: host, origin ─┬─ GET / ─► page (compiled in)
//!                                └─ POST /service/method ─► gRPC-Web ─► gate ─► service
//! ```
//!
//! The page is a client like any other: it uses the protocol only, and may do what its token
//! allows. Its sources are in `page/`, and `page/dist` is built from them by `npm run build`, which
//! `tests/all.sh` repeats and compares.
//!
//! - [`router`]: the page, and the services
//! - `site`: which hosts and origins are accepted

mod router;
mod site;

pub use router::router;
