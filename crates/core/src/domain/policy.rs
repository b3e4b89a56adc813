//! Policies: rules, weights, blocs and the order of sources. A journal entry adopts them.

use super::named::named;
use super::rule::Rule;
use super::share::{Weight, Wgi};
use super::threat::Measure;
use super::{Country, MarketKey, Mineral, Ppm, Slug, Stage};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A country, or a bloc of the policy by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Jurisdiction {
    /// One country.
    Country(Country),
    /// All members of a bloc.
    Bloc(Slug),
}

impl Jurisdiction {
    /// Reads a country (like [`Country::parse`]), or else the name of a bloc, which is in capitals.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(country) = Country::parse(text) {
            return Some(Self::Country(country));
        }
        Slug::parse(text.trim()).filter(Blocs::may_be_named).map(Self::Bloc)
    }
}

impl fmt::Display for Jurisdiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Country(country) => country.fmt(f),
            Self::Bloc(name) => name.fmt(f),
        }
    }
}

/// The buyer for whom measures count. Destinations are never suppliers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Destination {
    /// Only measures that reach every destination count.
    All,
    /// Measures that reach any destination count.
    Any,
    /// Measures that reach the country, or any member of the bloc, count.
    Jurisdiction(Jurisdiction),
}

impl Destination {
    /// Reads `all`, `any`, a country or a bloc.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "all" | "ALL" => Some(Self::All),
            "any" | "ANY" => Some(Self::Any),
            _ => Jurisdiction::parse(text).map(Self::Jurisdiction),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Any => f.write_str("any"),
            Self::Jurisdiction(one) => one.fmt(f),
        }
    }
}

/// The blocs of a policy: name → members.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Blocs(pub BTreeMap<Slug, BTreeSet<Country>>);

impl Blocs {
    /// Whether a name can be a bloc's: capitals, digits, `_` and `-`; not a country, `ALL` or
    /// `ANY`.
    pub fn may_be_named(name: &Slug) -> bool {
        let text = name.as_str();
        let plain = text.bytes().all(|b| !b.is_ascii_lowercase() && b != b'.');
        plain && Country::parse(text).is_none() && !matches!(text, "ALL" | "ANY")
    }

    /// Whether there is a bloc of this name.
    pub fn contains(&self, name: &Slug) -> bool {
        self.0.contains_key(name)
    }

    /// The members, by code; none where there is no such bloc.
    pub fn members(&self, name: &Slug) -> impl Iterator<Item = Country> {
        self.0.get(name).into_iter().flatten().copied()
    }

    /// Whether a jurisdiction is the country or has it as a member.
    pub fn covers(&self, jurisdiction: &Jurisdiction, country: Country) -> bool {
        match jurisdiction {
            Jurisdiction::Country(one) => *one == country,
            Jurisdiction::Bloc(name) => {
                self.0.get(name).is_some_and(|members| members.contains(&country))
            }
        }
    }
}

/// A policy has more rules than can be evaluated together, or than fit in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyTooLarge {
    /// Too many evaluations.
    #[error(
        "the rules take {evaluations} evaluations (destinations times markets, of all rules); at \
         most {} are allowed: name fewer destinations, minerals or stages",
        Policy::EVALUATIONS_MAX
    )]
    Evaluations {
        /// The sum over the rules of their destinations times the markets that they cover.
        evaluations: usize,
    },
    /// Too many or too long names.
    #[error(
        "the names in rules and blocs have {bytes} bytes together; at most {} are allowed: use \
         fewer or shorter names",
        Policy::NAME_BYTES_MAX
    )]
    Names {
        /// The length of every name in every list, and two bytes for each.
        bytes: usize,
    },
}

/// Everything besides the facts that decides which alerts are emitted. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// The rules, by name; names are unique.
    pub rules: Vec<Rule>,
    /// Named groups of destinations.
    pub blocs: Blocs,
    /// The order of sources. Of several sources' reports, that of the first source listed is in
    /// force; unlisted sources rank last. Of equal rank, the newest period is in force.
    pub sources: Vec<Slug>,
    /// The trade weight t of every kind of measure that moves an index.
    pub weights: BTreeMap<Measure, Weight>,
    /// Governance weights, for `hhi_wgi_t`; a country that is missing is unknown.
    pub wgi: BTreeMap<Country, Wgi>,
    /// Threats that do not move an index emit notices for markets in which the imposing country
    /// holds at least this share; `None` for no notices.
    pub notice_share_min: Option<Ppm>,
}

impl Policy {
    /// The rule's name in notices; no rule can have it.
    pub const NOTICE: &str = "notice";

    /// The maximum of evaluations that all markets take.
    pub const EVALUATIONS_MAX: usize = 100_000;

    /// How many evaluations all markets take: the sum over the rules of their
    /// destinations times the markets of the catalogue that they cover.
    fn evaluations(&self) -> usize {
        let of_rule = |rule: &Rule| {
            let stages =
                |mineral| Stage::ALL.iter().map(move |stage| MarketKey { mineral, stage: *stage });
            let markets = Mineral::all().flat_map(stages).filter(|market| rule.covers(*market));
            markets.count().saturating_mul(rule.destinations.len())
        };
        self.rules.iter().map(of_rule).fold(0, usize::saturating_add)
    }

    /// The maximum length of all names together, in bytes, so that a policy fits in a message of
    /// 1 MiB.
    pub const NAME_BYTES_MAX: usize = 640 * 1024;

    /// The length of every name in a list of a rule or a bloc, and two bytes for each.
    fn name_bytes(&self) -> usize {
        /// Of a country's code.
        const CODE_BYTES: usize = 5;
        let lengths = |lengths: &mut dyn Iterator<Item = usize>| {
            lengths.map(|bytes| bytes.saturating_add(2)).fold(0, usize::saturating_add)
        };
        let of_rule = |rule: &Rule| {
            let countries = rule.metric.countries().len().saturating_mul(CODE_BYTES);
            let minerals = lengths(&mut rule.minerals.iter().map(|one| one.slug().len()));
            let to = lengths(&mut rule.destinations.iter().map(|one| one.to_string().len()));
            countries.saturating_add(minerals).saturating_add(to)
        };
        let rules = self.rules.iter().map(of_rule);
        let blocs = self.blocs.0.values().map(|members| members.len().saturating_mul(CODE_BYTES));
        rules.chain(blocs).fold(0, usize::saturating_add)
    }

    /// Checks that all markets can be evaluated together, as the adoption of the policy does, and
    /// that the policy fits in a message.
    ///
    /// # Errors
    ///
    /// If the rules are too many, or their names too long.
    pub fn check_size(&self) -> Result<(), PolicyTooLarge> {
        let (evaluations, bytes) = (self.evaluations(), self.name_bytes());
        if evaluations > Self::EVALUATIONS_MAX {
            Err(PolicyTooLarge::Evaluations { evaluations })
        } else if bytes > Self::NAME_BYTES_MAX {
            Err(PolicyTooLarge::Names { bytes })
        } else {
            Ok(())
        }
    }

    /// The trade weight of a kind of measure; 1 where none is set.
    pub fn weight(&self, measure: Measure) -> Weight {
        self.weights.get(&measure).copied().unwrap_or_default()
    }

    /// The default trade weights (ours); the European Commission applied 1.0 to 1.5 in 2023.
    pub fn default_weights() -> BTreeMap<Measure, Weight> {
        let weigh = |permille| Weight::from_permille(permille).expect("between 1.0 and 3.0");
        Measure::ALL
            .iter()
            .map(|measure| {
                let weight = match measure {
                    Measure::Prohibition => weigh(1500),
                    Measure::ConditionalProhibition | Measure::Quota => weigh(1300),
                    Measure::TariffQuota
                    | Measure::Tax
                    | Measure::Licensing
                    | Measure::MinimumPrice
                    | Measure::StateTrading
                    | Measure::DomesticSupplyObligation
                    | Measure::Other => weigh(1100),
                    Measure::TechnologyControl => Weight::ONE,
                };
                (*measure, weight)
            })
            .collect()
    }

    /// A source's rank in the order: lower is preferred.
    pub fn source_rank(&self, source: &Slug) -> usize {
        self.sources.iter().position(|one| one == source).unwrap_or(self.sources.len())
    }
}

named! {
    /// The level of an alert, in increasing order.
    pub enum Level {
        /// Observe.
        Watch = "watch",
        /// Prepare.
        Warning = "warning",
        /// Act.
        Critical = "critical",
    }
}
