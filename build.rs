//! Compiles the protos: messages, services, and the descriptors that reflection and the JSON mapping read. Takes down with what
//! compiler.

use std::path::PathBuf;

#[allow(
    clippy::disallowed_methods,
    reason = "cargo tells a build script where to write by the environment"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    const FILES: [&str; 7] = ["types", "feed", "alert", "market", "policy", "journal", "replica"];
    println!("cargo:rustc-env=BUILT_BY_RUSTC={}", compiler()?);
    // tonic-prost-build does not say which files it depends on.
    println!("cargo:rerun-if-changed=proto");
    let paths = FILES.map(|file| format!("proto/lodewatch/v1/{file}.proto"));
    let descriptors = protox::compile(&paths, ["proto"])?;
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("lodewatch.v1.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().compile_fds_with_config(descriptors, config)?;
    Ok(())
}

/// The version of the compiler, as a metric tells it: `1.95.0`.
#[allow(clippy::disallowed_methods, reason = "cargo names the compiler by the environment")]
fn compiler() -> Result<String, Box<dyn std::error::Error>> {
    let told = std::process::Command::new(std::env::var("RUSTC")?).arg("--version").output()?;
    let told = String::from_utf8(told.stdout)?;
    Ok(told.split_whitespace().nth(1).unwrap_or("unknown").to_owned())
}
