//! The reference data that tests read where it is at hand: `LODEWATCH_DATA` names its folder.

use std::path::PathBuf;

/// The bytes of a file of the reference data; where it is not there, says so and gives none.
#[allow(
    clippy::disallowed_methods,
    reason = "the environment says where the reference data is; it is no setting of the program"
)]
pub(super) fn real_data(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var("LODEWATCH_DATA").map_or_else(
        |_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let path = folder.join(name);
    let bytes = std::fs::read(&path).ok();
    if bytes.is_none() {
        println!("{} is not there; this test has checked nothing", path.display());
    }
    bytes
}
