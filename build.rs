//! Compiles the protos of `proto`: the services that the server implements (messages and client
//! stubs are in `crates/proto`), and the descriptors that reflection and the JSON mapping read.
//! Records the compiler's version.

use std::path::PathBuf;

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
    tonic_prost_build::configure()
        .build_client(false)
        .extern_path(".lodewatch.v1", "::lodewatch_proto::v1")
        .compile_fds(descriptors)?;
    Ok(())
}

/// The compiler's version for the metric `lodewatch_build_info`: `1.95.0`.
#[allow(clippy::disallowed_methods, reason = "cargo names the compiler in the environment")]
fn compiler() -> Result<String, Box<dyn std::error::Error>> {
    let output = std::process::Command::new(std::env::var("RUSTC")?).arg("--version").output()?;
    let version = String::from_utf8(output.stdout)?;
    Ok(version.split_whitespace().nth(1).unwrap_or("unknown").to_owned())
}
