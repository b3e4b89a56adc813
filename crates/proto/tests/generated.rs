//! The generated code is what the protos say. After a change of a proto:
//! `LODEWATCH_GENERATE=1 cargo test -p lodewatch-proto`.

use std::fs;
use std::path::Path;

const FILES: [&str; 7] = ["types", "feed", "alert", "market", "policy", "journal", "replica"];

#[test]
#[allow(clippy::disallowed_methods, reason = "a developer asks for new code by the environment")]
fn the_generated_code_is_up_to_date() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let protos = package.join("../../proto");
    let paths = FILES.map(|file| protos.join(format!("lodewatch/v1/{file}.proto")));
    let descriptors = protox::compile(paths, [&protos]).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .out_dir(out.path())
        .compile_fds_with_config(descriptors, config)
        .unwrap();
    let generated = fs::read_to_string(out.path().join("lodewatch.v1.rs")).unwrap();
    let checked_in = package.join("src/lodewatch.v1.rs");
    if std::env::var_os("LODEWATCH_GENERATE").is_some() {
        fs::write(&checked_in, &generated).unwrap();
    }
    assert!(
        fs::read_to_string(&checked_in).is_ok_and(|code| code == generated),
        "src/lodewatch.v1.rs is not what the protos say; run: LODEWATCH_GENERATE=1 cargo test -p lodewatch-proto"
    );
}
