//! Calls that hold a state or a file of their own, away from the live path: their permits, their
//! budgets, and how they run on threads of their own.

use super::call_end::CallEnd;
use crate::grpc::admission::FairPermits;
use crate::grpc::status;
use lodewatch_core::engine::simulation::SimulationError;
use lodewatch_core::engine::{WorkMeter, WorkStop};
use tonic::Status;

/// The limits on simulations, backtests, reads of the past and archive copies.
pub struct Simulations {
    /// One permit for each such call that runs at a time.
    pub permits: FairPermits,
    /// Evaluations of one simulation.
    pub evaluations_max: u64,
    /// Evaluations of one backtest, or of one read of the past.
    pub replay_evaluations_max: u64,
}

/// A budget of evaluations, as an error names it.
pub(in crate::grpc) struct Budget {
    pub(in crate::grpc) evaluations_max: u64,
    /// The setting.
    limit: &'static str,
    /// What the caller can do.
    remedy: &'static str,
}

impl Simulations {
    pub const PERMITS_LIMIT: &str = "server.simulations_max";
    pub const WHAT: &str = "simulations, backtests, reads of the past and archive copies";

    pub(in crate::grpc) fn budget(&self) -> Budget {
        Budget {
            evaluations_max: self.evaluations_max,
            limit: "server.simulation_evaluations_max",
            remedy: "simulate fewer updates, rules, destinations or days",
        }
    }

    pub(in crate::grpc) fn backtest_budget(&self) -> Budget {
        Budget {
            evaluations_max: self.replay_evaluations_max,
            limit: "server.replay_evaluations_max",
            remedy: "backtest fewer rules or destinations",
        }
    }

    pub(in crate::grpc) fn past_budget(&self) -> Budget {
        Budget { remedy: "read an earlier day or cursor", ..self.backtest_budget() }
    }
}

impl Budget {
    /// A meter of this budget that stops when the call is over.
    pub(in crate::grpc) fn meter(&self, call: &CallEnd) -> WorkMeter {
        let call = call.clone();
        WorkMeter::new(self.evaluations_max, move || call.is_over())
    }

    /// The status of a simulation without a result.
    pub(in crate::grpc) fn status(&self, error: &SimulationError, call: &CallEnd) -> Status {
        match error {
            SimulationError::Rejected(rejections) => status::rejected(rejections),
            SimulationError::Stopped { stop: WorkStop::Cancelled, .. } => call.status(),
            SimulationError::Stopped { stop: WorkStop::BudgetSpent, evaluations, reached } => {
                let (max, limit) = (self.evaluations_max, self.limit);
                let far = format!(
                    "stopped after {evaluations} of {max} evaluations, at {reached} of the \
                     journal's time"
                );
                status::budget_spent(limit, &far, self.remedy)
            }
        }
    }
}

/// Runs blocking work for a call on a thread of its own, which holds the permit. The call is over
/// for it when this future is dropped.
pub(in crate::grpc) async fn run_with_permit<P: Send + 'static, T: Send + 'static>(
    permit: P,
    call: CallEnd,
    work: impl FnOnce(&CallEnd) -> T + Send + 'static,
) -> T {
    let _end = call.end_on_drop();
    let work = move || {
        let _permit = permit;
        work(&call)
    };
    tokio::task::spawn_blocking(work).await.expect("work for a call does not panic")
}
