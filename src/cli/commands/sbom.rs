//! `sbom`: the bill of materials of this binary.

use crate::cli::error::Error;
use crate::cli::output::print;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Versions and checksums of all crates of the workspace, those for tests among them.
const LOCK_FILE: &str = include_str!("../../../Cargo.lock");
/// The crates that are linked into this binary, from `build.rs`: `serde v1.0.229` per line.
const LINKED_CRATES: &str = include_str!(concat!(env!("OUT_DIR"), "/linked_crates.txt"));

#[derive(Deserialize)]
struct LockFile {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// Prints `CycloneDX` 1.5, which vulnerability scanners read.
pub(crate) fn run() -> Result<(), Error> {
    if LINKED_CRATES.is_empty() {
        return Err(Error::NoLinkedCrates);
    }
    let application = json!({
        "type": "application",
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
    });
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": application },
        "components": components(),
    });
    Ok(print::line(&bill.to_string())?)
}

fn components() -> Vec<Value> {
    let lock_file: LockFile = toml::from_str(LOCK_FILE).expect("cargo wrote it; a test reads it");
    let packages = lock_file.package.into_iter();
    let checksums: BTreeMap<_, _> =
        packages.map(|package| ((package.name, package.version), package.checksum)).collect();
    let linked: BTreeSet<_> = LINKED_CRATES.lines().filter_map(parse_crate).collect();
    let linked = linked.into_iter().filter(|(name, _)| name != env!("CARGO_PKG_NAME"));
    let component = |id: (String, String)| {
        let checksum = checksums.get(&id).cloned().flatten();
        let hashes = checksum.map(|hash| json!({ "alg": "SHA-256", "content": hash }));
        let (name, version) = id;
        json!({
            "type": "library",
            "name": name,
            "version": version,
            "purl": format!("pkg:cargo/{name}@{version}"),
            "hashes": hashes.into_iter().collect::<Vec<_>>(),
        })
    };
    linked.map(component).collect()
}

/// `serde` and `1.0.229` of `serde v1.0.229 (*)`.
fn parse_crate(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    Some((name.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_linked_crate_is_listed_by_version_and_checksum_and_no_other() {
        let components = components();
        let find = |name: &str| components.iter().find(|component| component["name"] == name);
        let rustls = find("rustls").unwrap();
        let version = rustls["version"].as_str().unwrap();
        assert_eq!(rustls["purl"], format!("pkg:cargo/rustls@{version}"));
        for component in &components {
            let is_ours = component["name"].as_str().unwrap().starts_with("lodewatch-");
            let hash = component["hashes"][0]["content"].as_str();
            assert_eq!(hash.map(str::len), (!is_ours).then_some(64), "{component}");
        }
        for other in ["insta", "proptest", "rcgen", "protox", "serde_derive", "lodewatch"] {
            assert!(find(other).is_none(), "{other} is not linked");
        }
    }
}
