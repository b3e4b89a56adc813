//! `lodewatch check-config FILE`: what a file of settings amounts to, or everything that is wrong with it.

use super::error::Error;
use crate::config::{self, Config};
use crate::domain::rule::{Rule, Threshold};
use crate::domain::share::{Amount, Unit};
use rust_decimal::Decimal;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

/// Reads the file over the defaults, without environment and flags, and prints what it amounts to.
pub(super) fn run(file: &Path) -> Result<(), Error> {
    check(file, &mut anstream::stdout().lock())
}

fn check(file: &Path, out: &mut impl Write) -> Result<(), Error> {
    let config = config::check(Some(file))?;
    writeln!(out, "{}: no problems", file.display())?;
    Ok(summarise(&config, out)?)
}

fn summarise(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let Config { server, data_dir, policy, .. } = config;
    writeln!(out, "listens on {}, keeps its data in {}", server.listen, data_dir.display())?;
    writeln!(out, "sources: {}", listed(&policy.sources))?;
    for (name, members) in &policy.blocs.0 {
        writeln!(out, "bloc {name}: {}", listed(members))?;
    }
    for rule in &policy.rules {
        writeln!(out, "rule {}: {}", rule.name, described(rule))?;
    }
    Ok(())
}

/// Everything about a rule that is not left open: `hhi; watch at 1000, down past 900; mining`.
fn described(rule: &Rule) -> String {
    let unit = rule.metric.unit();
    let mut parts = vec![rule.metric.to_string()];
    parts.extend(rule.thresholds.iter().map(|threshold| level(threshold, unit)));
    if !rule.minerals.is_empty() {
        parts.push(listed(&rule.minerals));
    }
    if !rule.stages.is_empty() {
        parts.push(listed(&rule.stages));
    }
    if rule.metric.reacts_to_measures() {
        parts.push(format!("for {}", listed(&rule.destinations)));
    }
    if !rule.measures.is_empty() {
        parts.push(format!("only {}", listed(&rule.measures)));
    }
    for (millis, word) in [(rule.for_ms, "raised after"), (rule.keep_ms, "taken down after")] {
        let wait = std::time::Duration::from_millis(millis);
        if let (false, Ok(wait)) = (wait.is_zero(), jiff::SignedDuration::try_from(wait)) {
            parts.push(format!("{word} {wait:#}"));
        }
    }
    parts.join("; ")
}

fn level(threshold: &Threshold, unit: Unit) -> String {
    let Threshold { level, raise, reset } = threshold;
    format!("{level} at {}, down past {}", written(*raise, unit), written(*reset, unit))
}

/// An amount, exactly: `65 %` or `1800`.
fn written(amount: Amount, unit: Unit) -> String {
    let figure = Decimal::from(amount) / Decimal::from(unit.per_one());
    match unit {
        Unit::Share => format!("{} %", (figure * Decimal::ONE_HUNDRED).normalize()),
        Unit::Points | Unit::Governance => figure.normalize().to_string(),
    }
}

fn listed<T: Display>(parts: impl IntoIterator<Item = T>) -> String {
    parts.into_iter().map(|part| part.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a file, sound or not, with the file's path as FILE.
    fn checked(text: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.toml");
        std::fs::write(&path, text).unwrap();
        let mut out = Vec::new();
        let result = check(&path, &mut out);
        let shown = |text: String| text.replace(&path.display().to_string(), "FILE");
        match result {
            Ok(()) => Ok(shown(String::from_utf8(out).unwrap())),
            Err(error) => Err(shown(error.to_string())),
        }
    }

    #[test]
    fn a_sound_file_is_summarised() {
        let out = checked(
            "[[rules]]\nname = \"graphite\"\nmetric = \"restricted_share\"\nminerals = [\"graphite\"]\n\
             stages = [\"refining\"]\ndestinations = [\"USA\"]\nmeasures = [\"quota\", \"licensing\"]\n\
             levels = [{ level = \"warning\", raise = 0.333333 }]\nfor = \"36h\"\nkeep = \"7d\"",
        );
        insta::assert_snapshot!(out.unwrap());
    }

    #[test]
    fn a_faulty_file_is_refused_with_every_problem() {
        let err = checked("server.listen = 7\nlog.level = \"loud\"").unwrap_err();
        insta::assert_snapshot!(err);
    }
}
