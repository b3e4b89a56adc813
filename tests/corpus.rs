//! Runs the fuzz targets over their corpora on every change: seeds, inputs that fuzzing found, and
//! variants of both, truncated and with flipped bits. `fuzz/Cargo.toml` describes how to fuzz.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test may panic"
)]

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "the library of the package in fuzz/")]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

/// The limit of a corpus file in bytes, so that corpora stay small.
const FILE_BYTES_MAX: usize = 65_536;

/// The variants of each file.
const VARIANTS: usize = 64;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|_| panic!("{} is missing", folder.display()));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort_unstable();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The file truncated at positions spread over it, and with a bit flipped there.
fn variants(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let step = bytes.len().div_ceil(VARIANTS).max(1);
    (0..bytes.len()).step_by(step).flat_map(move |at| {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (at % 8);
        [bytes[..at].to_vec(), flipped]
    })
}

#[test]
fn no_bytes_make_a_parser_or_a_codec_panic() {
    for (name, target) in targets::ALL {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for (path, bytes) in corpus {
            assert!(bytes.len() <= FILE_BYTES_MAX, "{} is too large", path.display());
            target(&bytes);
            variants(&bytes).for_each(|variant| target(&variant));
        }
    }
}
