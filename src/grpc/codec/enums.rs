//! Our enums and those of the protocol, both ways, variant by variant.

use crate::grpc::pb;
use lodewatch_core::domain::alert::{Kind, ScopeMatch};
use lodewatch_core::domain::market::{Flag, Stage};
use lodewatch_core::domain::policy::Level;
use lodewatch_core::domain::threat::{Authority, Confidence, EndUse, Measure, ThreatStatus};

/// An enum with a counterpart in the protocol.
pub(in crate::grpc) trait WireEnum: Sized + Copy + 'static {
    type Wire: Into<i32> + TryFrom<i32>;

    fn render(self) -> Self::Wire;

    /// `None` for an unspecified or unknown number.
    fn parse(number: i32) -> Option<Self>;
}

macro_rules! wire_enum {
    ($ours:ty, $wire:ty, [$($variant:ident),+ $(,)?]) => {
        impl WireEnum for $ours {
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

wire_enum!(Stage, pb::Stage, [Mining, Refining]);
wire_enum!(Level, pb::Level, [Watch, Warning, Critical]);
wire_enum!(
    Kind,
    pb::AlertKind,
    [Raised, Escalated, Deescalated, Cleared, Notice, Indeterminate, Stale, Flapping]
);
wire_enum!(ScopeMatch, pb::ScopeMatch, [Exact, Group, Partial]);
wire_enum!(Flag, pb::Flag, [Estimated, Withheld, TotalDiffers, AboveWhole, Stale]);
wire_enum!(Authority, pb::Authority, [Supranational, National, Subnational, NonState, Firm]);
wire_enum!(EndUse, pb::EndUse, [Any, Military, ListedEntities]);
wire_enum!(Confidence, pb::Confidence, [Official, Reported, Rumour]);
wire_enum!(
    ThreatStatus,
    pb::ThreatStatus,
    [Threatened, Announced, InForce, Suspended, Removed, Withdrawn, Superseded]
);
wire_enum!(
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
