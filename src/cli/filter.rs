//! Which alerts: the filter and start position that several commands accept.

use super::error::Error;
use super::output::format;
use clap::Args;
use lodewatch_proto::v1::{AlertFilter, AlertKind, Exercises, Level, Stage, Start};

#[derive(Debug, Default, Args)]
pub(super) struct FilterArgs {
    /// Only alerts about this mineral or group of minerals; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(super) mineral: Vec<String>,
    /// Only alerts about this stage: mining, refining.
    #[arg(long, value_name = "STAGE")]
    pub(super) stage: Vec<String>,
    /// Only alerts in which this country leads the market or imposes a measure.
    #[arg(long, value_name = "COUNTRY")]
    pub(super) country: Vec<String>,
    /// Only alerts of rules for this destination (buyer).
    #[arg(long, value_name = "NAME")]
    pub(super) destination: Vec<String>,
    /// Only alerts of this rule.
    #[arg(long, value_name = "NAME")]
    pub(super) rule: Vec<String>,
    /// Only alerts of this level or higher: watch, warning, critical.
    #[arg(long, value_name = "LEVEL")]
    pub(super) min_level: Option<String>,
    /// Only alerts of this kind: raised, escalated, deescalated, cleared, notice, indeterminate,
    /// stale, flapping.
    #[arg(long, value_name = "KIND")]
    pub(super) kind: Vec<String>,
    /// Include exercises (test alerts).
    #[arg(long)]
    pub(super) exercises: bool,
}

impl FilterArgs {
    /// The filter as a message; the server checks the names in it.
    pub(super) fn to_message(&self) -> Result<AlertFilter, Error> {
        let mut filter = AlertFilter {
            minerals: self.mineral.clone(),
            countries: self.country.clone(),
            destinations: self.destination.clone(),
            rules: self.rule.clone(),
            ..AlertFilter::default()
        };
        filter.stages = parse_stages(&self.stage)?;
        if let Some(level) = &self.min_level {
            let level = parse_choice("--min-level", "LEVEL_", level, Level::as_str_name)?;
            filter.set_minimum_level(level);
        }
        for kind in &self.kind {
            let kind = parse_choice("--kind", "ALERT_KIND_", kind, AlertKind::as_str_name)?;
            filter.kinds.push(kind.into());
        }
        if self.exercises {
            filter.set_exercises(Exercises::Include);
        }
        Ok(filter)
    }
}

/// The start position of a subscription, and the cursor if the text is none of the words.
pub(super) fn parse_start(text: &str) -> (Start, String) {
    match text {
        "snapshot" => (Start::Snapshot, String::new()),
        "head" => (Start::Head, String::new()),
        "oldest" => (Start::Oldest, String::new()),
        cursor => (Start::Cursor, cursor.to_owned()),
    }
}

pub(super) fn parse_stages(texts: &[String]) -> Result<Vec<i32>, Error> {
    texts.iter().map(|text| Ok(parse_stage("--stage", text)?.into())).collect()
}

pub(super) fn parse_stage(argument: &str, text: &str) -> Result<Stage, Error> {
    parse_choice(argument, "STAGE_", text, Stage::as_str_name)
}

/// Parses the name of an enum's value, without the prefix.
pub(super) fn parse_choice<T: TryFrom<i32>>(
    argument: &str,
    prefix: &str,
    text: &str,
    name: impl Fn(&T) -> &'static str,
) -> Result<T, Error> {
    let matches = |one: &T| name(one).trim_start_matches(prefix).eq_ignore_ascii_case(text);
    // The values of a protobuf enum of ours have no gaps; 0 means unspecified.
    let all = || (1..).map_while(|number| T::try_from(number).ok());
    all().find(matches).ok_or_else(|| {
        let allowed = all().map(|one| format::enum_value(name(&one), prefix));
        let allowed = allowed.collect::<Vec<_>>().join(", ");
        Error::Argument {
            argument: argument.to_owned(),
            problem: format!("{text:?} is not one of {allowed}"),
        }
    })
}
