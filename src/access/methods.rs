//! The table: which roles may call which method. What has no row is denied.

use std::fmt;

/// What an identity may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads and subscribes; publishes nothing.
    Subscriber,
    /// Publishes for its feeds, and reads the threats whose revisions it must know.
    Publisher,
    /// Everything, for every feed.
    Operator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Subscriber, Self::Publisher, Self::Operator];

    /// Reads a name; `None` where there is no such role.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == text)
    }

    /// The name, as the file of identities has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Subscriber => "subscriber",
            Self::Publisher => "publisher",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anyone, known or not: probes have no credentials, and learn whether the server is ready and nothing else.
    Anyone,
    /// Whoever is known, in whatever role: what the protocol is, is no secret, but asking costs.
    Known,
    /// Whoever has one of these roles.
    Roles(&'static [Role]),
}

impl Who {
    /// Whether somebody who has these roles may.
    pub fn allows(self, roles: &[Role]) -> bool {
        match self {
            Self::Anyone | Self::Known => true,
            Self::Roles(allowed) => allowed.iter().any(|role| roles.contains(role)),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Known => f.write_str("any known identity"),
            Self::Roles(roles) => {
                f.write_str(&roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// The service with its package.
    pub service: &'static str,
    /// The method's name.
    pub name: &'static str,
    /// Who may call it.
    pub who: Who,
}

/// Every method that may be called at all.
pub const METHODS: &[Method] = {
    use Role::{Operator, Publisher, Subscriber};
    const READ: Who = Who::Roles(&[Subscriber, Operator]);
    const PUBLISH: Who = Who::Roles(&[Publisher, Operator]);
    // A publisher must know the revision that it follows.
    const READ_THREATS: Who = Who::Roles(&[Subscriber, Publisher, Operator]);
    const ALERTS: &str = "lodewatch.v1.AlertService";
    const FEEDS: &str = "lodewatch.v1.FeedService";
    const MARKETS: &str = "lodewatch.v1.MarketService";
    const POLICIES: &str = "lodewatch.v1.PolicyService";
    const REPLICAS: &str = "lodewatch.v1.ReplicaService";
    const OPERATE: Who = Who::Roles(&[Operator]);
    const HEALTH: &str = "grpc.health.v1.Health";
    const REFLECTION: &str = "grpc.reflection.v1.ServerReflection";
    const REFLECTION_ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";
    &[
        Method { service: FEEDS, name: "Publish", who: PUBLISH },
        Method { service: FEEDS, name: "PublishStream", who: PUBLISH },
        Method { service: ALERTS, name: "Subscribe", who: READ },
        Method { service: ALERTS, name: "ListAlerts", who: READ },
        Method { service: ALERTS, name: "GetAlert", who: READ },
        Method { service: MARKETS, name: "ListMarkets", who: READ },
        Method { service: MARKETS, name: "GetMarket", who: READ },
        Method { service: MARKETS, name: "WatchMarkets", who: READ },
        Method { service: MARKETS, name: "ListThreats", who: READ_THREATS },
        Method { service: MARKETS, name: "GetThreat", who: READ_THREATS },
        Method { service: POLICIES, name: "GetPolicy", who: READ },
        Method { service: POLICIES, name: "Simulate", who: READ },
        Method { service: POLICIES, name: "Backtest", who: READ },
        Method { service: REPLICAS, name: "FetchArchive", who: OPERATE },
        Method { service: HEALTH, name: "Check", who: Who::Anyone },
        Method { service: HEALTH, name: "Watch", who: Who::Anyone },
        Method { service: REFLECTION, name: "ServerReflectionInfo", who: Who::Known },
        Method { service: REFLECTION_ALPHA, name: "ServerReflectionInfo", who: Who::Known },
    ]
};

/// The row of a path such as `/lodewatch.v1.FeedService/Publish`; `None` where nobody may call it.
pub fn method(path: &str) -> Option<&'static Method> {
    let (service, name) = path.strip_prefix('/')?.split_once('/')?;
    METHODS.iter().find(|method| method.service == service && method.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_row_is_nobody_s() {
        assert!(method("/lodewatch.v1.FeedService/Publish").is_some());
        for path in
            ["", "/", "Publish", "/lodewatch.v1.FeedService/Erase", "//", "/a/b/c", "/x/Publish"]
        {
            assert!(method(path).is_none(), "{path}");
        }
    }
}
