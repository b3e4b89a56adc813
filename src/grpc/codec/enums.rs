//! Our enums and those of the protocol, both ways, variant by variant.

use crate::domain::alert::{Kind, ScopeMatch};
use crate::domain::market::{Flag, Stage};
use crate::domain::policy::Level;
use crate::domain::threat::{Authority, Confidence, EndUse, Measure, ThreatStatus};
use crate::grpc::pb;

/// An enum with a counterpart in the protocol.
pub(in crate::grpc) trait OnWire: Sized + Copy + 'static {
    type Wire: Into<i32> + TryFrom<i32>;

    fn render(self) -> Self::Wire;

    /// `None` for an unspecified or unknown number.
    fn parse(number: i32) -> Option<Self>;
}

macro_rules! on_wire {
    ($ours:ty, $wire:ty, [$($variant:ident),+ $(,)?]) => {
        impl OnWire for $ours {
            type Wire = $wire;

            fn render(self) -> Self::Wire {
                match self { $(Self::$variant => <$wire>::$variant,)+ }
            }

            fn parse(number: i32) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| i32::from(one.render()) == number)
            }
        }
    };
}

on_wire!(Stage, pb::Stage, [Mining, Refining]);
on_wire!(Level, pb::Level, [Watch, Warning, Critical]);
on_wire!(
    Kind,
    pb::AlertKind,
    [Raised, Escalated, Deescalated, Cleared, Notice, Indeterminate, Stale, Flapping]
);
on_wire!(ScopeMatch, pb::ScopeMatch, [Exact, Group, Partial]);
on_wire!(Flag, pb::Flag, [Estimated, Withheld, TotalDiffers, AboveWhole, Stale]);
on_wire!(Authority, pb::Authority, [Supranational, National, Subnational, NonState, Firm]);
on_wire!(EndUse, pb::EndUse, [Any, Military, ListedEntities]);
on_wire!(Confidence, pb::Confidence, [Official, Reported, Rumour]);
on_wire!(
    ThreatStatus,
    pb::ThreatStatus,
    [Threatened, Announced, InForce, Suspended, Removed, Withdrawn, Superseded]
);
on_wire!(
    Measure,
    pb::Measure,
    [
        Prohibition,
        ConditionalProhibition,
        Quota,
        TariffQuota,
        Tax,
        Licensing,
        MinimumPrice,
        StateTrading,
        DomesticSupplyObligation,
        Other,
        TechnologyControl,
    ]
);
