//! `check-config`: a summary of a settings file, or every problem in it.

use crate::cli::error::Error;
use crate::config::{self, Config};
use clap::Args;
use lodewatch_core::domain::rule::{Rule, Threshold};
use lodewatch_core::domain::share::{Amount, Unit};
use rust_decimal::Decimal;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct CheckConfigArgs {
    /// Settings file.
    file: PathBuf,
}

/// Reads the file over the defaults, without environment and flags.
pub(crate) fn run(args: &CheckConfigArgs) -> Result<(), Error> {
    check(&args.file, &mut anstream::stdout().lock())
}

fn check(file: &Path, out: &mut impl Write) -> Result<(), Error> {
    let config = config::check(Some(file))?;
    writeln!(out, "{}: no problems", file.display())?;
    Ok(print_summary(&config, out)?)
}

fn print_summary(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let Config { server, data_dir, policy, .. } = config;
    writeln!(out, "listen address {}, data directory {}", server.listen, data_dir.display())?;
    writeln!(out, "sources: {}", join(&policy.sources))?;
    for (name, members) in &policy.blocs.0 {
        writeln!(out, "bloc {name}: {}", join(members))?;
    }
    for rule in &policy.rules {
        writeln!(out, "rule {}: {}", rule.name, describe_rule(rule))?;
    }
    Ok(())
}

/// A rule without its unset fields: `hhi; watch raises at 1000, resets past 900; mining`.
fn describe_rule(rule: &Rule) -> String {
    let unit = rule.metric.unit();
    let mut parts = vec![rule.metric.to_string()];
    parts.extend(rule.thresholds.iter().map(|threshold| describe_threshold(threshold, unit)));
    if !rule.minerals.is_empty() {
        parts.push(join(&rule.minerals));
    }
    if !rule.stages.is_empty() {
        parts.push(join(&rule.stages));
    }
    if rule.metric.reacts_to_measures() {
        parts.push(format!("for {}", join(&rule.destinations)));
    }
    if !rule.measures.is_empty() {
        parts.push(format!("only measures {}", join(&rule.measures)));
    }
    for (millis, word) in [(rule.for_ms, "raised after"), (rule.keep_ms, "cleared after")] {
        let wait = std::time::Duration::from_millis(millis);
        if let (false, Ok(wait)) = (wait.is_zero(), jiff::SignedDuration::try_from(wait)) {
            parts.push(format!("{word} {wait:#}"));
        }
    }
    parts.join("; ")
}

fn describe_threshold(threshold: &Threshold, unit: Unit) -> String {
    let Threshold { level, raise, reset } = threshold;
    format!(
        "{level} raises at {}, resets past {}",
        format_amount(*raise, unit),
        format_amount(*reset, unit)
    )
}

/// An amount, exactly: `65 %` or `1800`.
fn format_amount(amount: Amount, unit: Unit) -> String {
    let value = Decimal::from(amount) / Decimal::from(unit.per_one());
    match unit {
        Unit::Share => format!("{} %", (value * Decimal::ONE_HUNDRED).normalize()),
        Unit::Points | Unit::Governance => value.normalize().to_string(),
    }
}

fn join<T: Display>(parts: impl IntoIterator<Item = T>) -> String {
    parts.into_iter().map(|part| part.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The summary or the problems, with the file's path replaced by FILE.
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
    fn a_valid_file_is_summarized() {
        let out = checked(
            "[[rules]]\nname = \"graphite\"\nmetric = \"restricted_share\"\nminerals = [\"graphite\"]\n\
             stages = [\"refining\"]\ndestinations = [\"USA\"]\nmeasures = [\"quota\", \"licensing\"]\n\
             levels = [{ level = \"warning\", raise = 0.333333 }]\nfor = \"36h\"\nkeep = \"7d\"",
        );
        insta::assert_snapshot!(out.unwrap());
    }

    #[test]
    fn an_invalid_file_is_rejected_with_every_problem() {
        let err = checked("server.listen = 7\nlog.level = \"loud\"").unwrap_err();
        insta::assert_snapshot!(err);
    }
}
