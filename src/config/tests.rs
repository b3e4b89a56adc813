//! What the settings promise to operators.

use super::layers::{BUILT_IN, PREFIX, SEPARATOR, read};
use super::{Config, Error, Flags};
use ::config::Environment;
use lodewatch_core::domain::Policy;
use lodewatch_core::domain::policy::{Destination, Level};
use lodewatch_core::domain::rule::{Metric, Rule};
use lodewatch_core::domain::share::Unit;
use std::path::{Path, PathBuf};

/// Reads a file of this content, with this environment and these flags.
fn settings(file: &str, variables: &[(&str, &str)], flags: &Flags) -> Result<Config, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.toml");
    std::fs::write(&path, file).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let environment = Environment::with_prefix(PREFIX)
        .prefix_separator("_")
        .separator(SEPARATOR)
        .source(Some(variables.collect()));
    read(Some(&path), Some(&environment), flags)
}

/// The problems of a file, one a line, with the file's path as FILE.
fn problems(file: &str, variables: &[(&str, &str)], flags: &Flags) -> Vec<String> {
    let Error(problems) = settings(file, variables, flags).unwrap_err();
    let line = |text: String| match (text.find("(in "), text.find("test.toml")) {
        (Some(start), Some(end)) => format!("{}(in FILE{}", &text[..start], &text[end + 9..]),
        _ => text,
    };
    problems.iter().map(|problem| line(problem.to_string())).collect()
}

fn rule<'a>(policy: &'a Policy, name: &str) -> &'a Rule {
    policy.rules.iter().find(|rule| rule.name.as_str() == name).unwrap()
}

/// A rule with a name and a metric, and these further lines, separated by `; `.
fn rule_text(metric: &str, lines: &str) -> String {
    format!("[[rules]]\nname = \"test\"\nmetric = \"{metric}\"\n{}\n", lines.replace("; ", "\n"))
}

const LEVELS: &str = "levels = [{ level = \"watch\", raise = 0.5 }]; ";

#[test]
fn the_shipped_file_changes_nothing() {
    assert_eq!(settings(BUILT_IN, &[], &Flags::default()).unwrap(), Config::built_in());
    assert_eq!(settings("", &[], &Flags::default()).unwrap(), Config::built_in());
}

/// The reader rejects unknown keys and missing ones, so the file has every required key and no
/// other. Optional keys are found here: an unknown key makes the reader list all allowed keys.
#[test]
fn the_shipped_file_shows_every_setting() {
    let unknown = "zzz = 1\nserver.zzz = 1\narchive.zzz = 1\nfanout.zzz = 1\nreload.zzz = 1\nclock.zzz = 1\nlog.zzz = 1\n\
        tls.zzz = 1\naccess.zzz = 1\naccess.jwt.zzz = 1\nhealth.zzz = 1\nconsole.zzz = 1\nnotices.zzz = 1\n[[rules]]\nzzz = 1\nlevels = [{ zzz = 1 }]\nflapping = { zzz = 1 }";
    let known: Vec<String> = problems(unknown, &[], &Flags::default())
        .into_iter()
        .filter_map(|problem| problem.split_once("Allowed keys: ").map(|(_, keys)| keys.to_owned()))
        .collect();
    assert_eq!(known.len(), 16, "one list a table: {known:?}");
    for key in known.iter().flat_map(|keys| keys.split(", ")) {
        let forms = ["KEY = ", "[KEY]", "[[KEY]]", ".KEY]"].map(|form| form.replace("KEY", key));
        assert!(forms.iter().any(|form| BUILT_IN.contains(form)), "{key} is not in the file");
    }
}

#[test]
fn later_layers_win_setting_by_setting() {
    let file = "data_dir = \"/file\"\nserver.listen = \"127.0.0.1:1\"\nserver.streams_max = 7";
    let variables = [
        ("LODEWATCH_SERVER__LISTEN", "127.0.0.1:2"),
        ("LODEWATCH_DATA_DIR", "/variable"),
        ("LODEWATCH_WEIGHTS__QUOTA", "1.25"),
        ("LODEWATCH_SOURCES", "IEA, USGS"),
        ("OTHER_SERVER__LISTEN", "x"),
    ];
    let flags = Flags { listen: Some("127.0.0.1:3".into()), data_dir: None };
    let config = settings(file, &variables, &flags).unwrap();
    assert_eq!(config.server.listen.port(), 3);
    assert_eq!(config.data_dir, PathBuf::from("/variable"));
    assert_eq!(config.server.streams_max, 7);
    assert_eq!(config.server.drain_timeout_ms, 10_000);
    let sources: Vec<&str> =
        config.policy.sources.iter().map(lodewatch_core::domain::Slug::as_str).collect();
    assert_eq!(sources, ["IEA", "USGS"]);
    let weights: Vec<String> = config.policy.weights.values().map(ToString::to_string).collect();
    assert!(weights.contains(&"1.25".to_owned()));
}

#[test]
fn every_problem_is_reported_at_once_with_where_it_was_written() {
    let file = "data_dri = \"x\"\nserver.streams_max = 0\nfanout = 3\n\
        [[rules]]\nname = \"a b\"\nmetric = \"top1_share\"\nlevels = [{ level = \"watch\", raise = 1.7 }]";
    let variables =
        [("LODEWATCH_SERVER__DRAIN_TIMEOUT", "soon"), ("LODEWATCH_RULES__0__NAME", "x")];
    let flags = Flags { listen: Some("nowhere".into()), data_dir: Some("".into()) };
    insta::assert_snapshot!(problems(file, &variables, &flags).join("\n"));
}

#[test]
fn an_invalid_setting_is_reported_with_what_is_allowed() {
    let check = |file: &str, expected: &str| {
        assert_eq!(problems(file, &[], &Flags::default()), [expected], "{file}");
    };
    for (file, expected) in [
        (
            "server.listen = 50061",
            "server.listen = 50061 (in FILE): must be an address and a port, such as 127.0.0.1:50061 or [::]:50061",
        ),
        (
            "log.level = \"inof\"",
            "log.level = \"inof\" (in FILE): must be off, error, warn, info, debug or trace, or several levels for parts of the program, such as info,lodewatch::journal=debug",
        ),
        (
            "journal.store = \"kafka\"",
            "journal.store = \"kafka\" (in FILE): must be sqlite or jetstream",
        ),
        (
            "journal.jetstream.servers = [\"nats-0:4222\"]",
            "journal.jetstream.servers[0] = \"nats-0:4222\" (in FILE): must be nats://HOST:PORT or tls://HOST:PORT",
        ),
        (
            "journal.jetstream.stream = \"a.b\"",
            "journal.jetstream.stream = \"a.b\" (in FILE): must be 1 to 32 of A-Z a-z 0-9 _ -",
        ),
        (
            "journal.jetstream.timeout = \"0s\"",
            "journal.jetstream.timeout = \"0s\" (in FILE): must be at least 100ms",
        ),
        (
            "traces.endpoint = \"collector:4317\"",
            "traces.endpoint = \"collector:4317\" (in FILE): must be empty, or a URL with http:// or https:// and without a password, such as http://collector:4317",
        ),
        (
            "traces.endpoint = \"http://me:secret@collector:4317\"",
            "traces.endpoint = \"http://***@collector:4317\" (in FILE): must be empty, or a URL with http:// or https:// and without a password, such as http://collector:4317",
        ),
        ("traces.ratio = 1.5", "traces.ratio = 1.5 (in FILE): must be from 0 to 1"),
        ("log.format = \"xml\"", "log.format = \"xml\" (in FILE): must be text or json"),
        (
            "archive.keep_days = -1",
            "archive.keep_days = -1 (in FILE): must be a whole number from 0 to 36500",
        ),
        ("sources = [\"USGS\", \"USGS\"]", "sources[1] = \"USGS\" (in FILE): is named twice"),
        (
            "weights.quota = 0.9",
            "weights.quota = 0.9 (in FILE): must be a trade weight from 1.0 to 3.0 with at most 3 decimals",
        ),
        (
            "weights.technology_control = 1.1",
            "weights.technology_control = 1.1 (in FILE): must be one of prohibition, conditional_prohibition, quota, tariff_quota, tax, licensing, minimum_price, state_trading, domestic_supply_obligation, other",
        ),
        (
            "blocs.brics = [\"BRA\"]",
            "blocs.brics = […] (in FILE): the name of a bloc must be 1 to 64 of A-Z 0-9 _ -, and not a country, ALL or ANY",
        ),
        (
            "blocs.\"A.B\" = [\"BRA\"]",
            "blocs.A.B = […] (in FILE): the name of a bloc must be 1 to 64 of A-Z 0-9 _ -, and not a country, ALL or ANY",
        ),
        (
            "server.trusted_proxies = [\"10.0.0.1/8\"]",
            "server.trusted_proxies[0] = \"10.0.0.1/8\" (in FILE): has an address with bits after its prefix; use 10.0.0.0/8",
        ),
        (
            "server.trusted_proxies = \"10.0.0.0/8, proxy.example\"",
            "server.trusted_proxies[1] = \"proxy.example\" (in FILE): must be an address or a network, such as 192.0.2.7, 10.0.0.0/8, 2001:db8::7 or fd00::/8",
        ),
        ("blocs.BRICS = []", "blocs.BRICS = […] (in FILE): must not be empty"),
        (
            "blocs.BRICS = [\"Brasil\"]",
            "blocs.BRICS[0] = \"Brasil\" (in FILE): unknown country; did you mean BRA?",
        ),
        (
            "server.streams = 1",
            "server.streams (in FILE): unknown key. Allowed keys: abandoned_calls_per_second_max, connections_max, connections_per_address_max, drain_timeout, examined_alerts_max, handshake_timeout, history_calls_max, insecure, listen, message_bytes_max, \
             publish_batches_max, publish_bytes_max, publish_calls_bytes_max, publish_idle_timeout, publish_streams_max, publish_streams_per_identity_max, replay_evaluations_max, simulation_evaluations_max, simulations_max, stream_age_max, streams_max, streams_per_connection_max, streams_per_identity_max, transfer_bytes_max, transfer_timeout, trusted_proxies, updates_per_second_max",
        ),
    ] {
        check(file, expected);
    }
}

#[test]
fn an_invalid_rule_is_reported_with_what_is_allowed() {
    const HHI: &str = "levels = [{ level = \"watch\", raise = 1000 }]; ";
    let levels = |levels: &str| format!("levels = [{levels}]");
    let watch = |values: &str| levels(&format!("{{ level = \"watch\", {values} }}"));
    let shown: Vec<String> = [
        ("hhi", watch("raise = 30001")),
        ("cr3", watch("raise = 1.7")),
        ("cr3", watch("raise = 0.0000001")),
        ("cr3", watch("raise = 0")),
        ("n_minus_1", watch("raise = 0.5, reset = 1")),
        ("cr3", watch("raise = 0.5, reset = 0.6")),
        ("cr3", watch("rise = 0.5")),
        ("cr3", levels("")),
        ("cr3", levels("{ level = \"red\", raise = 0.5 }")),
        ("cr3", levels("{ level = \"watch\", raise = 0.5 }, { level = \"warning\", raise = 0.4 }")),
        ("hhi", format!("{HHI}destinations = [\"USA\"]")),
        ("hhi", format!("{HHI}measures = [\"quota\"]")),
        ("restricted_share", format!("{LEVELS}destinations = [\"G8\"]")),
        ("restricted_share", format!("{LEVELS}destinations = []")),
        ("restricted_share", format!("{LEVELS}measures = [\"technology_control\"]")),
        ("country_share", LEVELS.to_owned()),
        ("group_share", format!("{LEVELS}countries = [\"CHN\", \"XKX1\"]")),
        ("cr3", format!("{LEVELS}country = \"CHN\"")),
        ("gini", LEVELS.to_owned()),
        ("cr3", format!("{LEVELS}minerals = [\"galium\"]")),
        ("cr3", format!("{LEVELS}stages = [\"smelting\"]")),
        ("cr3", format!("{LEVELS}for = \"2 months\"")),
        ("cr3", format!("{LEVELS}kepe = \"1h\"")),
    ]
    .into_iter()
    .map(|(metric, lines)| {
        let file = rule_text(metric, &lines);
        let found = problems(&file, &[], &Flags::default()).join("\n  ");
        format!("{metric}; {lines}\n  {found}")
    })
    .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn names_of_rules_are_unique() {
    let file = rule_text("cr3", LEVELS).repeat(2);
    let expected = "rules[1].name = \"test\" (in FILE): is the same as rules[0].name";
    assert_eq!(problems(&file, &[], &Flags::default()), [expected]);
}

#[test]
fn rules_are_at_most_two_hundred() {
    let rules = |count: usize| {
        (0..count)
            .map(|at| rule_text("cr3", LEVELS).replace("test", &format!("r{at}")))
            .collect::<String>()
    };
    assert!(settings(&rules(200), &[], &Flags::default()).is_ok());
    let problems = problems(&rules(201), &[], &Flags::default());
    assert_eq!(problems, ["rules[200] (in FILE): there may be at most 200 rules"]);
}

#[test]
fn the_default_reset_value_is_one_step_below_the_raise_value() {
    for (metric, raise, reset) in [
        ("cr3", "0.5", 480_000),
        ("cr3", "0.01", 5_000),
        ("n_minus_1", "0.3", 320_000),
        ("n_minus_1", "0.99", 995_000),
        ("hhi", "1800", 1_700 * Unit::Points.per_one()),
        ("hhi", "50", 25 * Unit::Points.per_one()),
    ] {
        let file =
            rule_text(metric, &format!("levels = [{{ level = \"watch\", raise = {raise} }}]"));
        let policy = settings(&file, &[], &Flags::default()).unwrap().policy;
        let resets: Vec<i64> =
            rule(&policy, "test").thresholds.iter().map(|one| one.reset).collect();
        assert_eq!(resets, [reset], "{metric} {raise}");
    }
}

#[test]
fn order_and_spelling_make_no_difference_to_a_rule() {
    let read = |lines: &str| {
        let file = rule_text("restricted_share", &format!("{LEVELS}{lines}"));
        settings(&file, &[], &Flags::default()).unwrap().policy
    };
    let one = read("minerals = [\"REE\", \"gallium\"]\ndestinations = [\"USA\", \"G7\", \"all\"]");
    let other =
        read("minerals = [\"gallium\", \"rare earths\"]\ndestinations = [\"all\", \"G7\", \"us\"]");
    assert_eq!(one, other);
    assert_eq!(read("minerals = [\"*\"]"), read(""));
    assert_eq!(read("destinations = [\"all\"]"), read(""));
}

#[test]
fn rules_of_a_file_replace_all_rules_and_nothing_else() {
    let policy = settings(&rule_text("cr3", LEVELS), &[], &Flags::default()).unwrap().policy;
    assert_eq!(policy.rules.len(), 1);
    assert_eq!(policy.blocs, Config::built_in().policy.blocs);
    assert!(settings("rules = []", &[], &Flags::default()).unwrap().policy.rules.is_empty());
}

#[test]
fn the_default_policy_is_the_one_that_is_documented() {
    let policy = Config::built_in().policy;
    assert_eq!(policy.weights, Policy::default_weights());
    let names: Vec<&str> = policy.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["hhi", "prohibited-share", "restricted-share", "top1-share"]);
    let points = Unit::Points.per_one();
    for (name, metric, raises) in [
        ("hhi", Metric::Hhi, [1_000 * points, 1_800 * points, 5_000 * points]),
        ("top1-share", Metric::Top1Share, [500_000, 650_000, 800_000]),
        ("restricted-share", Metric::RestrictedShare, [200_000, 400_000, 650_000]),
        ("prohibited-share", Metric::RestrictedShare, [200_000, 400_000, 650_000]),
    ] {
        let rule = rule(&policy, name);
        assert_eq!(rule.metric, metric);
        let levels: Vec<(Level, i64)> =
            rule.thresholds.iter().map(|one| (one.level, one.raise)).collect();
        assert_eq!(levels, Level::ALL.iter().copied().zip(raises).collect::<Vec<_>>());
        let reacts = rule.metric.reacts_to_measures();
        assert_eq!(rule.destinations.len(), if reacts { 6 } else { 1 }, "{name}");
        assert_eq!(rule.destinations.first(), Some(&Destination::All));
        assert_eq!(rule.measures.len(), usize::from(name == "prohibited-share"));
    }
    let sizes: Vec<(&str, usize)> =
        policy.blocs.0.iter().map(|(name, members)| (name.as_str(), members.len())).collect();
    assert_eq!(sizes, [("EU", 27), ("G7", 7), ("PARTNERS", 35)]);
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let missing = read(Some(Path::new("/nowhere.toml")), None, &Flags::default()).unwrap_err();
    assert!(
        missing.to_string().contains("/nowhere.toml: cannot be read: No such file"),
        "{missing}"
    );
    let broken = settings("[server", &[], &Flags::default()).unwrap_err();
    assert!(broken.to_string().contains("test.toml: is not valid TOML: "), "{broken}");
}

#[test]
fn nats_has_one_kind_of_credentials() {
    let two = "[journal.jetstream]\ntoken_file = \"t\"\nnkey_file = \"n\"\nuser = \"u\"\ncert_file = \"c\"";
    let found = problems(two, &[], &Flags::default()).join("\n");
    for fault in ["needs both user and password_file", "needs both cert_file and key_file"] {
        assert!(found.contains(fault), "{found}");
    }
    let two = "[journal.jetstream]\ntoken_file = \"t\"\nnkey_file = \"n\"";
    let found = problems(two, &[], &Flags::default()).join("\n");
    assert!(
        found.contains("only one of user, token_file, nkey_file and credentials_file"),
        "{found}"
    );
}

#[test]
fn an_address_that_other_machines_reach_needs_tls_and_authentication() {
    let rejected = |file: &str| problems(file, &[], &Flags::default()).join("\n");
    let open = "server.listen = \"0.0.0.0:50061\"\n";
    let tls = "[tls]\ncertificate = \"a\"\nkey = \"b\"\n";
    let access = "[access]\nidentities = \"c\"\n";
    insta::assert_snapshot!(rejected(open));
    let half = rejected(&format!("{open}{tls}"));
    assert!(half.contains("[access]") && !half.contains("[tls]"), "{half}");
    let half = rejected(&format!("{open}{access}"));
    assert!(!half.contains("[access]") && half.contains("[tls]"), "{half}");
    let flags = Flags { listen: Some("[::]:1".into()), data_dir: None };
    assert!(
        problems("", &[], &flags)[0].starts_with("server.listen = \"[::]:1\" (from --listen): ")
    );
    for fine in [
        format!("{open}{tls}{access}"),
        format!("{open}server.insecure = true"),
        "server.listen = \"127.9.9.9:1\"".to_owned(),
        "server.listen = \"[::1]:1\"".to_owned(),
        "server.listen = \"[::ffff:127.0.0.1]:1\"".to_owned(),
    ] {
        settings(&fine, &[], &Flags::default()).unwrap();
    }
}

#[test]
fn settings_that_belong_together_are_rejected_when_one_is_missing() {
    for (file, expected) in [
        ("tls.key = \"k\"", "tls"),
        ("tls.client_ca = \"k\"", "tls"),
        ("access.jwt.issuer = \"i\"", "access.jwt"),
        ("access.jwt = { issuer = \"i\", audience = \"a\", keys = \"k\" }", "access.identities"),
    ] {
        let found = problems(file, &[], &Flags::default());
        assert!(found.len() == 1 && found[0].starts_with(expected), "{file}: {found:?}");
    }
}

#[test]
fn a_policy_with_more_evaluations_than_its_limit_is_rejected() {
    let rules = |count: usize| {
        let rule = |number| {
            rule_text(
                "restricted_share",
                &format!("{LEVELS}destinations = [\"USA\", \"JPN\", \"EU\"]"),
            )
            .replace("\"test\"", &format!("\"test-{number}\""))
        };
        (0..count).map(rule).collect::<String>()
    };
    assert!(settings(&rules(100), &[], &Flags::default()).is_ok());
    let found = problems(&rules(200), &[], &Flags::default());
    let [problem] = found.as_slice() else { panic!("{found:?}") };
    assert!(problem.contains("evaluations") && problem.contains("100000"), "{problem}");
}
