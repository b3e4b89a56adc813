//! What probes ask of the real binary.

use lodewatch_testkit::process::{Process, run};

#[test]
fn health_is_printed_in_one_line_and_is_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::serve(dir.path());
    let ask = |address: &str, service: &[&str]| {
        let output = run(&[&["health", "--address", address], service].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    for service in
        [&[][..], &["--service", "lodewatch.live"], &["--service", "lodewatch.durability"]]
    {
        assert_eq!(ask(&process.address, service), (Some(0), "SERVING\n".to_owned()));
    }
    let (code, said) = ask(&process.address, &["--service", "other"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("service not registered"), "{said}");
    let (code, said) = ask("127.0.0.1:1", &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot connect to 127.0.0.1:1"), "{said}");
}
