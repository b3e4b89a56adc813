//! What is known, and what the person chose to see of it.

use super::super::figures;
use super::super::market_report::Report;
use super::super::output;
use super::super::threats;
use super::feed::{News, Stream};
use crate::domain::Timestamp;
use crate::grpc::pb::{Alert, Market, Metric, Stage, ThreatRecord, WatchMarketsResponse};
use ratatui::widgets::TableState;
use std::collections::BTreeMap;

/// Alerts in memory; the oldest go first.
const ALERTS_MAX: usize = 200;

/// Which market.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) mineral: String,
    pub(super) stage: Stage,
}

impl Key {
    pub(super) fn of(market: &Market) -> Self {
        Self { mineral: market.mineral.clone(), stage: market.stage() }
    }
}

/// By what markets are sorted; the largest first, names from A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// The gravest level, then HHI.
    Level,
    Hhi,
    HhiT,
    Restricted,
    Name,
}

impl Sort {
    /// The one after it, round and round.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Level => Self::Hhi,
            Self::Hhi => Self::HhiT,
            Self::HhiT => Self::Restricted,
            Self::Restricted => Self::Name,
            Self::Name => Self::Level,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Hhi => "HHI",
            Self::HhiT => "HHI with t",
            Self::Restricted => "restricted share",
            Self::Name => "name",
        }
    }
}

/// What is over the board.
pub(super) enum Above {
    Nothing,
    Help,
    /// Everything of one market, from this line on; `None` while it is being asked for.
    Report(Key, Option<Box<Report>>, usize),
}

/// How a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    Live,
    /// For this reason.
    Lost(String),
}

/// All of it.
pub(super) struct Board {
    /// The addresses of the servers, as given.
    pub(super) servers: String,
    pub(super) destination: String,
    markets: BTreeMap<Key, Market>,
    /// Markets of a stream that has just begun, until it has told all of them.
    beginning: Option<BTreeMap<Key, Market>>,
    /// By sequence.
    alerts: BTreeMap<u64, Alert>,
    /// Those that are not over: with a date ahead, by that date; then the others, by id.
    pub(super) threats: Vec<ThreatRecord>,
    pub(super) journal_time: Timestamp,
    markets_link: Link,
    alerts_link: Link,
    /// Whether a stream was lost and goes on; until a key is pressed.
    pub(super) has_resumed: bool,
    pub(super) sort: Sort,
    /// Markets have this in their name.
    pub(super) filter: String,
    /// Whether keys go to the filter.
    pub(super) is_typing: bool,
    /// The chosen market; it stays chosen where it moves.
    pub(super) chosen: Option<Key>,
    /// How far the table is scrolled.
    pub(super) table: TableState,
    pub(super) above: Above,
}

impl Board {
    pub(super) fn new(servers: String, destination: String) -> Self {
        Self {
            servers,
            destination,
            markets: BTreeMap::new(),
            beginning: Some(BTreeMap::new()),
            alerts: BTreeMap::new(),
            threats: Vec::new(),
            journal_time: Timestamp::default(),
            markets_link: Link::Live,
            alerts_link: Link::Live,
            has_resumed: false,
            sort: Sort::Level,
            filter: String::new(),
            is_typing: false,
            chosen: None,
            table: TableState::default(),
            above: Above::Nothing,
        }
    }

    /// Takes a piece of news.
    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Markets(message) => self.hear_markets(*message),
            News::Alerts(alerts) => {
                self.alerts.extend(alerts.into_iter().map(|alert| (alert.sequence, alert)));
                while self.alerts.len() > ALERTS_MAX {
                    self.alerts.pop_first();
                }
            }
            News::Threats(mut threats) => {
                threats.retain(|one| threats::is_ahead_or_on(one.status()));
                let at = |one: &ThreatRecord| one.next_boundary.clone();
                threats.sort_by_key(|one| (at(one).is_empty(), at(one)));
                self.threats = threats;
            }
            News::Report(report) => {
                if let Above::Report(key, shown, _) = &mut self.above
                    && *key == Key::of(&report.market)
                {
                    *shown = Some(report);
                }
            }
            News::Lost(stream, why) => {
                *self.link_of(stream) = Link::Lost(why);
                if stream == Stream::Markets {
                    self.beginning = Some(BTreeMap::new());
                }
            }
            News::Resumed(stream) => {
                *self.link_of(stream) = Link::Live;
                self.has_resumed = true;
            }
        }
    }

    fn hear_markets(&mut self, message: WatchMarketsResponse) {
        if let Some(time) = &message.journal_time {
            self.journal_time = output::instant(time);
        }
        let markets = message.markets.into_iter().map(|market| (Key::of(&market), market));
        match &mut self.beginning {
            None => self.markets.extend(markets),
            Some(beginning) => {
                beginning.extend(markets);
                if !message.more {
                    // What is not among all of them is gone.
                    self.markets = self.beginning.take().unwrap_or_default();
                }
            }
        }
    }

    fn link_of(&mut self, stream: Stream) -> &mut Link {
        match stream {
            Stream::Markets => &mut self.markets_link,
            Stream::Alerts => &mut self.alerts_link,
        }
    }

    /// How the worse of both streams is.
    pub(super) fn link(&self) -> &Link {
        match &self.markets_link {
            Link::Live => &self.alerts_link,
            lost @ Link::Lost(_) => lost,
        }
    }

    /// Whether all markets were told once.
    pub(super) fn has_markets(&self) -> bool {
        self.beginning.is_none() || !self.markets.is_empty()
    }

    /// Markets that pass the filter, sorted.
    pub(super) fn shown(&self) -> Vec<&Market> {
        let wanted = self.filter.to_lowercase();
        let name = |market: &Market| {
            format!("{} {}", market.name, output::stage_name(market.stage())).to_lowercase()
        };
        let mut shown: Vec<_> =
            self.markets.values().filter(|market| name(market).contains(&wanted)).collect();
        // What is unknown comes last. Stable: where both are equal, the order of the names stays.
        let value = |market: &Market, metric| {
            figures::value(market, metric).map_or(-1.0, |value| value.lower)
        };
        let rank = |market: &Market| {
            let hhi = value(market, Metric::Hhi);
            match self.sort {
                Sort::Level => [f64::from(i32::from(figures::level(market))), hhi],
                Sort::Hhi => [hhi, 0.0],
                Sort::HhiT => [value(market, Metric::HhiT), hhi],
                Sort::Restricted => [value(market, Metric::RestrictedShare), hhi],
                Sort::Name => [0.0, 0.0],
            }
        };
        shown.sort_by(|one, other| {
            let ([one, next_one], [other, next_other]) = (rank(one), rank(other));
            other.total_cmp(&one).then(next_other.total_cmp(&next_one))
        });
        shown
    }

    /// Newest first.
    pub(super) fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values().rev()
    }

    /// Where the chosen market is among those shown; the first, where it is none of them.
    pub(super) fn chosen_row(&self) -> usize {
        let is_chosen = |market: &&Market| Some(Key::of(market)) == self.chosen;
        self.shown().iter().position(is_chosen).unwrap_or_default()
    }

    /// Chooses the market that is so many rows further down, or up.
    pub(super) fn choose(&mut self, rows: isize) {
        let shown = self.shown();
        let last = shown.len().saturating_sub(1);
        let row = self.chosen_row().saturating_add_signed(rows).min(last);
        self.chosen = shown.get(row).map(|market| Key::of(market));
    }

    /// The market of which everything is shown.
    pub(super) fn report_of(&self) -> Option<Key> {
        match &self.above {
            Above::Report(key, _, _) => Some(key.clone()),
            Above::Nothing | Above::Help => None,
        }
    }
}
