//! Markets, and the supply reports that state the shares of countries in them.

use super::named::named;
use super::{Country, Day, Mineral, Ppm, Slug};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

named! {
    /// A stage of the supply chain. Capacity is not production, and reserves are neither.
    pub enum Stage {
        /// Extraction (European Commission), mine production (USGS).
        Mining = "mining",
        /// Processing (European Commission); refinery, smelter, primary and plant production
        /// (USGS).
        Refining = "refining",
    }
}

/// A market: one mineral at one stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MarketKey {
    /// The mineral.
    pub mineral: Mineral,
    /// The stage.
    pub stage: Stage,
}

impl fmt::Display for MarketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.mineral.name(), self.stage)
    }
}

/// The period a report covers: a year, a quarter or a month. Ordered by its end, then by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Period {
    /// `2025`
    Year(i16),
    /// `2025-Q3`, quarters 1 to 4
    Quarter(i16, i8),
    /// `2025-06`, months 1 to 12
    Month(i16, i8),
}

impl Period {
    /// How a period is written, for error messages.
    pub const ALLOWED: &str =
        "a year 2025, a quarter 2025-Q3 or a month 2025-06, from 1900 to 2999";

    /// Reads `2025`, `2025-Q3` or `2025-06`.
    pub fn parse(text: &str) -> Option<Self> {
        let (year, rest) =
            text.split_once('-').map_or((text, None), |(year, rest)| (year, Some(rest)));
        let digits = |part: &str, len: usize| {
            (part.len() == len && part.bytes().all(|b| b.is_ascii_digit())).then_some(())
        };
        digits(year, 4)?;
        let year = year.parse().ok().filter(|year| (1900..=2999).contains(year))?;
        let Some(rest) = rest else { return Some(Self::Year(year)) };
        if let Some(quarter) = rest.strip_prefix('Q') {
            digits(quarter, 1)?;
            let quarter = quarter.parse().ok().filter(|q| (1..=4).contains(q))?;
            Some(Self::Quarter(year, quarter))
        } else {
            digits(rest, 2)?;
            let month = rest.parse().ok().filter(|m| (1..=12).contains(m))?;
            Some(Self::Month(year, month))
        }
    }

    /// The year.
    pub fn year(self) -> i16 {
        match self {
            Self::Year(year) | Self::Quarter(year, _) | Self::Month(year, _) => year,
        }
    }

    /// Year and month of the end, then the month of the start: the newest period has the latest
    /// end, and of those the latest start.
    fn order(self) -> (i16, i8, i8) {
        match self {
            Self::Year(year) => (year, 12, 1),
            Self::Quarter(year, quarter) => (year, quarter * 3, quarter * 3 - 2),
            Self::Month(year, month) => (year, month, month),
        }
    }
}

impl PartialOrd for Period {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Period {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Year(year) => write!(f, "{year}"),
            Self::Quarter(year, quarter) => write!(f, "{year}-Q{quarter}"),
            Self::Month(year, month) => write!(f, "{year}-{month:02}"),
        }
    }
}

named! {
    /// What a reader should know about the figures in force.
    pub enum Flag {
        /// At least one row is an estimate of the source.
        Estimated = "estimated",
        /// At least one country's figure is withheld: the country supplies, how much is not
        /// published.
        Withheld = "withheld",
        /// The rows do not add up to the total that the source publishes.
        TotalDiffers = "total_differs",
        /// The shares add up to more than the whole (at most 102 %, for rounding in the source).
        AboveWhole = "above_whole",
        /// The report is older than the rule allows; never a flag of the report itself.
        Stale = "stale",
    }
}

/// What the shares are parts of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Denominator {
    /// The sum of all rows, "other countries" included.
    SumOfRows,
    /// The total that the source publishes.
    PublishedTotal,
    /// The source gives shares, not quantities.
    Shares,
}

/// The figure of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Figure {
    /// A quantity, in thousandths of the report's unit.
    QuantityMilli(u64),
    /// A share of the market.
    Share(Ppm),
    /// The country supplies, but the source does not publish how much. Never zero.
    Withheld,
}

/// A row as the source gives it, before shares are computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportDraftRow {
    /// The supplier.
    pub country: Country,
    /// Its figure.
    pub figure: Figure,
    /// Whether the source calls it an estimate.
    pub estimated: bool,
}

/// A report as the source gives it; [`Report::parse`] checks it and computes the shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportDraft {
    /// The market.
    pub market: MarketKey,
    /// The source, such as `USGS`.
    pub source: Slug,
    /// The period it covers.
    pub period: Period,
    /// The day this version was released; a later vintage of the same period replaces an earlier
    /// one.
    pub vintage: Day,
    /// Unit of the quantities, such as `metric tons`; empty where the source gives shares.
    pub unit: Arc<str>,
    /// At most one row per country.
    pub rows: Vec<ReportDraftRow>,
    /// "Other countries", in the form of the rows; never `Withheld`.
    pub residual: Option<Figure>,
    /// What the shares are parts of.
    pub denominator: Denominator,
    /// The total that the source publishes, in thousandths of the unit.
    pub published_total_milli: Option<u64>,
    /// The address of the publication.
    pub url: Arc<str>,
}

/// Why a draft is not a valid report. `row` is the index of the row, from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportFault {
    /// There are no rows.
    #[error("a report needs at least one row")]
    Empty,
    /// More rows than there are countries.
    #[error("{0} rows; at most {rows} are allowed", rows = Report::ROWS_MAX)]
    TooManyRows(usize),
    /// The same country twice.
    #[error("{country} is already in row {first}; one row per country is allowed")]
    Repeated {
        /// Index of the later row.
        row: usize,
        /// Index of the earlier row.
        first: usize,
        /// The country of both.
        country: Country,
    },
    /// Shares and quantities are mixed.
    #[error("a report holds quantities or shares, not both")]
    Mixed {
        /// Index of the first row that does not fit the denominator; `None` for the residual.
        row: Option<usize>,
    },
    /// The published total is declared as denominator but missing.
    #[error("the denominator is the published total, but none is given")]
    NoTotal,
    /// The denominator is zero.
    #[error("the rows add up to zero, so shares cannot be computed")]
    Zero,
    /// The shares add up to more than rounding can explain.
    #[error("the shares add up to {sum_percent}; at most 102.00 % is accepted")]
    AboveWhole {
        /// The sum in per cent, with two decimals.
        sum_percent: String,
    },
}

/// One row of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRow {
    /// The supplier.
    pub country: Country,
    /// Its share of the market; `None` where withheld.
    pub share: Option<Ppm>,
    /// The quantity in thousandths of the unit, where the source gives quantities.
    pub quantity_milli: Option<u64>,
    /// Whether the source calls it an estimate.
    pub estimated: bool,
}

/// One source's full distribution of a market for one period. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    market: MarketKey,
    source: Slug,
    period: Period,
    vintage: Day,
    unit: Arc<str>,
    rows: Vec<ReportRow>,
    residual: Ppm,
    denominator: Denominator,
    other: Option<Figure>,
    published_total_milli: Option<u64>,
    flags: Vec<Flag>,
    url: Arc<str>,
}

impl Report {
    /// The maximum number of rows: all countries of ISO 3166-1.
    pub const ROWS_MAX: usize = 249;
    /// The maximum sum of the shares, in ppm: published shares are rounded, the European
    /// Commission's add up to 101.8 %.
    pub const SUM_PPM_MAX: u64 = 1_020_000;

    /// Checks a draft and computes its shares, rounded half up to whole ppm.
    ///
    /// The residual is the "other countries" row, or the whole minus the named shares where that is
    /// more.
    ///
    /// # Errors
    ///
    /// Every [`ReportFault`] found, in the order of the rows.
    pub fn parse(draft: ReportDraft) -> Result<Self, Vec<ReportFault>> {
        let faults = draft.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        let sums = draft.sums();
        let rows = draft.shares(&sums);
        let named: u64 =
            rows.iter().filter_map(|row| row.share).map(|share| u64::from(share.get())).sum();
        let other = draft.residual.map_or(0, |figure| part(figure, sums.denominator));
        if named.saturating_add(other) > Self::SUM_PPM_MAX {
            let sum = named.saturating_add(other) / 100;
            let sum_percent = format!("{}.{:02} %", sum / 100, sum % 100);
            return Err(vec![ReportFault::AboveWhole { sum_percent }]);
        }
        let missing = match draft.denominator {
            Denominator::Shares => 1_000_000_u64.saturating_sub(named),
            Denominator::SumOfRows | Denominator::PublishedTotal => {
                ratio(sums.denominator.saturating_sub(sums.named), sums.denominator)
            }
        };
        let residual = ppm(missing.max(other));
        let mut report = Self {
            market: draft.market,
            source: draft.source,
            period: draft.period,
            vintage: draft.vintage,
            unit: draft.unit,
            rows,
            residual,
            denominator: draft.denominator,
            other: draft.residual,
            published_total_milli: draft.published_total_milli,
            flags: Vec::new(),
            url: draft.url,
        };
        report.flags = report.find_flags(named.saturating_add(other), sums.all);
        Ok(report)
    }

    fn find_flags(&self, sum_ppm: u64, sum_milli: u64) -> Vec<Flag> {
        // Rounding to whole ppm may add up to one ppm per row.
        let rounding = u64::try_from(self.rows.len()).unwrap_or(u64::MAX);
        let mut flags = Vec::new();
        if self.rows.iter().any(|row| row.estimated) {
            flags.push(Flag::Estimated);
        }
        if self.rows.iter().any(|row| row.share.is_none()) {
            flags.push(Flag::Withheld);
        }
        if self.published_total_milli.is_some_and(|total| total != sum_milli) {
            flags.push(Flag::TotalDiffers);
        }
        if sum_ppm > rounding.saturating_add(1_000_000) {
            flags.push(Flag::AboveWhole);
        }
        flags
    }

    /// The market.
    pub fn market(&self) -> MarketKey {
        self.market
    }

    /// The source.
    pub fn source(&self) -> &Slug {
        &self.source
    }

    /// The period it covers.
    pub fn period(&self) -> Period {
        self.period
    }

    /// The day this version was released.
    pub fn vintage(&self) -> Day {
        self.vintage
    }

    /// Unit of the quantities; empty where the source gives shares.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// The rows, by country code.
    pub fn rows(&self) -> &[ReportRow] {
        &self.rows
    }

    /// The residual: the share that the source does not attribute to a country.
    pub fn residual(&self) -> Ppm {
        self.residual
    }

    /// The "other countries" row as the source gives it.
    pub fn other(&self) -> Option<Figure> {
        self.other
    }

    /// What the shares are parts of.
    pub fn denominator(&self) -> Denominator {
        self.denominator
    }

    /// The total that the source publishes, in thousandths of the unit.
    pub fn published_total_milli(&self) -> Option<u64> {
        self.published_total_milli
    }

    /// What a reader should know about the figures.
    pub fn flags(&self) -> &[Flag] {
        &self.flags
    }

    /// The address of the publication; may be empty.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The share of a country; `None` where it has no row or its figure is withheld.
    pub fn share(&self, country: Country) -> Option<Ppm> {
        let at = self.rows.binary_search_by_key(&country, |row| row.country).ok()?;
        self.rows.get(at)?.share
    }
}

struct Sums {
    named: u64,
    all: u64,
    denominator: u64,
}

impl ReportDraft {
    fn faults(&self) -> Vec<ReportFault> {
        let mut faults = Vec::new();
        if self.rows.is_empty() {
            faults.push(ReportFault::Empty);
        }
        if self.rows.len() > Report::ROWS_MAX {
            faults.push(ReportFault::TooManyRows(self.rows.len()));
            return faults;
        }
        for (row, draft) in self.rows.iter().enumerate() {
            let first = self.rows.iter().position(|other| other.country == draft.country);
            if let Some(first) = first.filter(|first| *first < row) {
                faults.push(ReportFault::Repeated { row, first, country: draft.country });
            }
        }
        let misfit = |figure: &Figure| match figure {
            Figure::QuantityMilli(_) => self.denominator == Denominator::Shares,
            Figure::Share(_) => self.denominator != Denominator::Shares,
            Figure::Withheld => false,
        };
        if let Some(row) = self.rows.iter().position(|row| misfit(&row.figure)) {
            faults.push(ReportFault::Mixed { row: Some(row) });
        } else if self.residual.as_ref().is_some_and(misfit) {
            faults.push(ReportFault::Mixed { row: None });
        }
        if self.denominator == Denominator::PublishedTotal && self.published_total_milli.is_none() {
            faults.push(ReportFault::NoTotal);
        } else if faults.is_empty() && self.sums().denominator == 0 {
            faults.push(ReportFault::Zero);
        }
        faults
    }

    fn sums(&self) -> Sums {
        let named = self
            .rows
            .iter()
            .filter_map(|row| quantity(row.figure))
            .fold(0_u64, u64::saturating_add);
        let all = named.saturating_add(self.residual.and_then(quantity).unwrap_or(0));
        let denominator = match self.denominator {
            Denominator::SumOfRows => all,
            Denominator::PublishedTotal => self.published_total_milli.unwrap_or(0),
            Denominator::Shares => 1_000_000,
        };
        Sums { named, all, denominator }
    }

    fn shares(&self, sums: &Sums) -> Vec<ReportRow> {
        let mut rows: Vec<ReportRow> = self
            .rows
            .iter()
            .map(|row| ReportRow {
                country: row.country,
                share: match row.figure {
                    Figure::Withheld => None,
                    Figure::QuantityMilli(_) | Figure::Share(_) => {
                        Some(ppm(part(row.figure, sums.denominator)))
                    }
                },
                quantity_milli: quantity(row.figure),
                estimated: row.estimated,
            })
            .collect();
        rows.sort_unstable_by_key(|row| row.country);
        rows
    }
}

fn quantity(figure: Figure) -> Option<u64> {
    match figure {
        Figure::QuantityMilli(milli) => Some(milli),
        Figure::Share(_) | Figure::Withheld => None,
    }
}

/// A figure as part of the denominator, in ppm; above the whole where the published total is too
/// small.
fn part(figure: Figure, denominator: u64) -> u64 {
    match figure {
        Figure::QuantityMilli(milli) => ratio(milli, denominator),
        Figure::Share(share) => u64::from(share.get()),
        Figure::Withheld => 0,
    }
}

/// `part / whole` in ppm, rounded half up; `whole` is above zero.
fn ratio(part: u64, whole: u64) -> u64 {
    let doubled = u128::from(part) * 2_000_000 + u128::from(whole);
    u64::try_from(doubled / (u128::from(whole) * 2)).unwrap_or(u64::MAX)
}

/// A part of at most 102 % as a share of at most 100 %.
fn ppm(parts: u64) -> Ppm {
    u32::try_from(parts).ok().and_then(Ppm::new).unwrap_or(Ppm::ONE)
}
