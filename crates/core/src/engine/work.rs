//! A budget for simulated work: how many evaluations a simulation may make, and who may stop it.

use std::fmt;
use std::sync::Arc;

/// Evaluations that building one alert counts for.
const ALERT_EVALUATIONS: u64 = 64;

/// Why a simulation was stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkStop {
    /// The next step would have exceeded the budget.
    BudgetSpent,
    /// The caller is gone, or the server shuts down.
    Cancelled,
}

/// A budget, and what of it is spent.
///
/// One evaluation is one rule instance evaluated in one market, one threat examined for one of the
/// market's measure filters, or one update applied; an alert counts for 64. Before each market the
/// meter counts its evaluations: once they exceed the budget, or the caller is gone, no further
/// market is evaluated, and the state must be discarded.
#[derive(Clone, Default)]
pub struct WorkMeter {
    spent: u64,
    max: Option<u64>,
    is_cancelled: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
    stop: Option<WorkStop>,
}

impl WorkMeter {
    /// A budget of so many evaluations. `is_cancelled` is asked before each market and must be
    /// quick.
    pub fn new(
        evaluations_max: u64,
        is_cancelled: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let is_cancelled: Arc<dyn Fn() -> bool + Send + Sync> = Arc::new(is_cancelled);
        let (max, is_cancelled) = (Some(evaluations_max), Some(is_cancelled));
        Self { spent: 0, max, is_cancelled, stop: None }
    }

    /// The evaluations so far.
    pub fn spent(&self) -> u64 {
        self.spent
    }

    /// Why the work was stopped; `None` while it goes on.
    pub fn stop(&self) -> Option<WorkStop> {
        self.stop
    }

    /// Whether so many further evaluations may be made; counts them if so. Without a budget, they
    /// are not even computed.
    pub(super) fn spend(&mut self, evaluations: impl FnOnce() -> u64) -> bool {
        if self.max.is_none() {
            return true;
        }
        if self.stop.is_some() {
            return false;
        }
        let spent = self.spent.saturating_add(evaluations());
        if self.is_cancelled.as_ref().is_some_and(|is_cancelled| is_cancelled()) {
            self.stop = Some(WorkStop::Cancelled);
        } else if self.max.is_some_and(|max| spent > max) {
            self.stop = Some(WorkStop::BudgetSpent);
        } else {
            self.spent = spent;
        }
        self.stop.is_none()
    }

    /// Counts alerts that were built.
    pub(super) fn count_alerts(&mut self, alerts: u64) {
        self.spent = self.spent.saturating_add(alerts.saturating_mul(ALERT_EVALUATIONS));
    }
}

impl fmt::Debug for WorkMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spent, max, is_cancelled: _, stop } = self;
        write!(f, "WorkMeter({spent} of {max:?}, {stop:?})")
    }
}

/// A number of items, as evaluations.
pub(super) fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}
