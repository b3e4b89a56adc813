//! The state of the board: the data received, and what is selected. No I/O.

use crate::cli::output::format;
use crate::cli::output::market_page::MarketPage;
use lodewatch_core::domain::Timestamp;
use lodewatch_proto::v1::{Alert, Market, Metric, Stage, ThreatRecord, WatchMarketsResponse};
use ratatui::widgets::TableState;
use std::collections::BTreeMap;

/// Alerts in memory; the oldest are dropped first.
const ALERTS_MAX: usize = 200;

/// What the servers sent.
pub(super) enum Event {
    Markets(Box<WatchMarketsResponse>),
    /// In any order.
    Alerts(Vec<Alert>),
    /// All threats.
    Threats(Vec<ThreatRecord>),
    /// The page that was requested.
    MarketPage(Box<MarketPage>),
    /// A stream was lost for this reason and is being resumed.
    Lost(Stream, String),
    Resumed(Stream),
}

/// The streams that the board follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// `WatchMarkets`.
    Markets,
    /// `Subscribe`.
    Alerts,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MarketKey {
    pub(super) mineral: String,
    pub(super) stage: Stage,
}

impl MarketKey {
    pub(super) fn of(market: &Market) -> Self {
        Self { mineral: market.mineral.clone(), stage: market.stage() }
    }
}

/// The order of the markets: values descending, names ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SortOrder {
    /// By level, then HHI.
    Level,
    Hhi,
    HhiT,
    Restricted,
    Name,
}

impl SortOrder {
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

/// What covers the board.
pub(super) enum Overlay {
    None,
    Help,
    /// A market's page, from this line on; `None` until it is received.
    MarketPage(MarketKey, Option<Box<MarketPage>>, usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StreamState {
    Live,
    /// With the reason.
    Lost(String),
}

pub(super) struct Board {
    /// The addresses of the servers, as given.
    pub(super) servers: String,
    pub(super) destination: String,
    markets: BTreeMap<MarketKey, Market>,
    /// The first markets of a new stream, until it has sent all of them.
    initial_markets: Option<BTreeMap<MarketKey, Market>>,
    /// By sequence.
    alerts: BTreeMap<u64, Alert>,
    /// Current threats: by their next date, then those without one, by id.
    pub(super) threats: Vec<ThreatRecord>,
    pub(super) journal_time: Timestamp,
    markets_stream: StreamState,
    alerts_stream: StreamState,
    /// Whether a stream has resumed since the last key press.
    pub(super) has_resumed: bool,
    pub(super) sort_order: SortOrder,
    /// Only markets with this in their name are shown.
    pub(super) filter: String,
    /// Whether keys edit the filter.
    pub(super) is_typing: bool,
    /// Stays selected when the market moves to another row.
    pub(super) selected: Option<MarketKey>,
    /// The scroll position.
    pub(super) table: TableState,
    pub(super) overlay: Overlay,
}

impl Board {
    pub(super) fn new(servers: String, destination: String) -> Self {
        Self {
            servers,
            destination,
            markets: BTreeMap::new(),
            initial_markets: Some(BTreeMap::new()),
            alerts: BTreeMap::new(),
            threats: Vec::new(),
            journal_time: Timestamp::default(),
            markets_stream: StreamState::Live,
            alerts_stream: StreamState::Live,
            has_resumed: false,
            sort_order: SortOrder::Level,
            filter: String::new(),
            is_typing: false,
            selected: None,
            table: TableState::default(),
            overlay: Overlay::None,
        }
    }

    pub(super) fn apply(&mut self, event: Event) {
        match event {
            Event::Markets(message) => self.apply_markets(*message),
            Event::Alerts(alerts) => {
                self.alerts.extend(alerts.into_iter().map(|alert| (alert.sequence, alert)));
                while self.alerts.len() > ALERTS_MAX {
                    self.alerts.pop_first();
                }
            }
            Event::Threats(mut threats) => {
                threats.retain(|one| format::is_current(one.status()));
                let at = |one: &ThreatRecord| one.next_boundary.clone();
                threats.sort_by_key(|one| (at(one).is_empty(), at(one)));
                self.threats = threats;
            }
            Event::MarketPage(page) => {
                if let Overlay::MarketPage(key, shown, _) = &mut self.overlay
                    && *key == MarketKey::of(&page.market)
                {
                    *shown = Some(page);
                }
            }
            Event::Lost(stream, reason) => {
                *self.stream_state_mut(stream) = StreamState::Lost(reason);
                if stream == Stream::Markets {
                    self.initial_markets = Some(BTreeMap::new());
                }
            }
            Event::Resumed(stream) => {
                *self.stream_state_mut(stream) = StreamState::Live;
                self.has_resumed = true;
            }
        }
    }

    fn apply_markets(&mut self, message: WatchMarketsResponse) {
        if let Some(time) = &message.journal_time {
            self.journal_time = format::instant(time);
        }
        let markets = message.markets.into_iter().map(|market| (MarketKey::of(&market), market));
        match &mut self.initial_markets {
            None => self.markets.extend(markets),
            Some(initial) => {
                initial.extend(markets);
                if !message.more {
                    // Markets that the new stream did not send no longer exist.
                    self.markets = self.initial_markets.take().unwrap_or_default();
                }
            }
        }
    }

    fn stream_state_mut(&mut self, stream: Stream) -> &mut StreamState {
        match stream {
            Stream::Markets => &mut self.markets_stream,
            Stream::Alerts => &mut self.alerts_stream,
        }
    }

    /// The state of the worse of both streams.
    pub(super) fn stream_state(&self) -> &StreamState {
        match &self.markets_stream {
            StreamState::Live => &self.alerts_stream,
            lost @ StreamState::Lost(_) => lost,
        }
    }

    /// Whether all markets were received once.
    pub(super) fn has_markets(&self) -> bool {
        self.initial_markets.is_none() || !self.markets.is_empty()
    }

    /// The markets that match the filter, sorted.
    pub(super) fn shown(&self) -> Vec<&Market> {
        let pattern = self.filter.to_lowercase();
        let name = |market: &Market| {
            format!("{} {}", market.name, format::stage_name(market.stage())).to_lowercase()
        };
        let mut shown: Vec<_> =
            self.markets.values().filter(|market| name(market).contains(&pattern)).collect();
        // Unknown values come last. The sort is stable: equal markets stay sorted by name.
        let value = |market: &Market, metric| {
            format::metric_value(market, metric).map_or(-1.0, |value| value.lower)
        };
        let rank = |market: &Market| {
            let hhi = value(market, Metric::Hhi);
            match self.sort_order {
                SortOrder::Level => [f64::from(i32::from(format::highest_level(market))), hhi],
                SortOrder::Hhi => [hhi, 0.0],
                SortOrder::HhiT => [value(market, Metric::HhiT), hhi],
                SortOrder::Restricted => [value(market, Metric::RestrictedShare), hhi],
                SortOrder::Name => [0.0, 0.0],
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

    /// The row of the selected market; the first if that is not shown.
    pub(super) fn selected_row(&self) -> usize {
        let is_selected = |market: &&Market| Some(MarketKey::of(market)) == self.selected;
        self.shown().iter().position(is_selected).unwrap_or_default()
    }

    /// Selects the market that is `rows` further down, or up if negative.
    pub(super) fn move_selection(&mut self, rows: isize) {
        let shown = self.shown();
        let last = shown.len().saturating_sub(1);
        let row = self.selected_row().saturating_add_signed(rows).min(last);
        self.selected = shown.get(row).map(|market| MarketKey::of(market));
    }

    /// The market whose page covers the board.
    pub(super) fn open_market(&self) -> Option<MarketKey> {
        match &self.overlay {
            Overlay::MarketPage(key, _, _) => Some(key.clone()),
            Overlay::None | Overlay::Help => None,
        }
    }
}
