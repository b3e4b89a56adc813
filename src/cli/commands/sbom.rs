//! `sbom`: what this program was built of.

use crate::cli::error::Error;
use crate::cli::output::print;
use serde::Deserialize;
use serde_json::{Value, json};

/// Pinned versions and checksums of all crates, as this program was built with. Those for tests
/// alone are among them.
const LOCK: &str = include_str!("../../../Cargo.lock");

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// Prints a bill of materials in the form of `CycloneDX` 1.5, which scanners of known
/// vulnerabilities read.
pub(crate) fn run() -> Result<(), Error> {
    let lock: Lock = toml::from_str(LOCK).expect("cargo wrote it; a test reads it");
    let components: Vec<Value> = lock.package.iter().map(component).collect();
    let this = json!({
        "type": "application",
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
    });
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": this },
        "components": components,
    });
    Ok(print::line(&bill.to_string())?)
}

fn component(package: &Package) -> Value {
    let Package { name, version, checksum } = package;
    let hashes = checksum.iter().map(|hash| json!({ "alg": "SHA-256", "content": hash }));
    json!({
        "type": "library",
        "name": name,
        "version": version,
        "purl": format!("pkg:cargo/{name}@{version}"),
        "hashes": hashes.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pinned_crate_is_listed_by_version_and_checksum() {
        let lock: Lock = toml::from_str(LOCK).unwrap();
        let rustls = lock.package.iter().find(|package| package.name == "rustls").unwrap();
        let component = component(rustls);
        assert_eq!(component["purl"], format!("pkg:cargo/rustls@{}", rustls.version));
        assert_eq!(component["hashes"][0]["content"].as_str().unwrap().len(), 64);
    }
}
