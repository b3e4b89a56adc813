//! Compiles the protos of `proto`: the services that the server implements (messages and client
//! stubs are in `crates/proto`), and the descriptors that reflection and the JSON mapping read.
//! Records the compiler's version and the crates that are linked into the binary.

use std::path::PathBuf;
use std::process::Command;

#[allow(
    clippy::disallowed_methods,
    reason = "cargo passes the output directory of a build script in the environment"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    const FILES: [&str; 7] = ["types", "feed", "alert", "market", "policy", "journal", "replica"];
    println!("cargo:rustc-env=BUILT_BY_RUSTC={}", compiler()?);
    // tonic-prost-build does not print which files it depends on.
    println!("cargo:rerun-if-changed=proto");
    let paths = FILES.map(|file| format!("proto/lodewatch/v1/{file}.proto"));
    let descriptors = protox::compile(&paths, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("lodewatch.v1.bin"), prost::Message::encode_to_vec(&descriptors))?;
    std::fs::write(out.join("linked_crates.txt"), linked_crates()?)?;
    tonic_prost_build::configure()
        .build_client(false)
        .codec_path("crate::grpc::transport::BoundedCodec")
        .extern_path(".lodewatch.v1", "::lodewatch_proto::v1")
        .compile_fds(descriptors)?;
    Ok(())
}

/// The compiler's version for the metric `lodewatch_build_info`: `1.95.0`.
#[allow(clippy::disallowed_methods, reason = "cargo names the compiler in the environment")]
fn compiler() -> Result<String, Box<dyn std::error::Error>> {
    let output = Command::new(std::env::var("RUSTC")?).arg("--version").output()?;
    let version = String::from_utf8(output.stdout)?;
    Ok(version.split_whitespace().nth(1).unwrap_or("unknown").to_owned())
}

/// The crates that are linked into the binary for this target and these features, one per line:
/// `serde v1.0.229`. Crates of the build, of tests and of macros are not among them. Empty where
/// cargo cannot list them.
#[allow(clippy::disallowed_methods, reason = "cargo describes the build in the environment")]
fn linked_crates() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=Cargo.lock");
    println!("cargo:rerun-if-changed=Cargo.toml");
    // The manifests of the other packages; a published package has none of them.
    for folder in std::fs::read_dir("crates").into_iter().flatten() {
        println!("cargo:rerun-if-changed={}", folder?.path().join("Cargo.toml").display());
    }
    let features = std::env::var("CARGO_CFG_FEATURE").unwrap_or_default();
    let output = Command::new(std::env::var("CARGO")?)
        .args(["tree", "--locked", "--offline", "--edges", "normal,no-proc-macro"])
        .args(["--prefix", "none", "--format", "{p}", "--no-default-features"])
        .args(["--features", &features, "--target", &std::env::var("TARGET")?])
        .output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    // A build without the locked versions, such as `cargo install` without `--locked`, has no list.
    let error = String::from_utf8_lossy(&output.stderr).replace('\n', " ");
    println!("cargo:warning=`lodewatch sbom` will have no list of crates: cargo tree: {error}");
    Ok(Vec::new())
}
