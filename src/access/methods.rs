//! The table of methods and the roles that may call them. A method without a row is denied.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads and subscribes.
    Subscriber,
    /// Publishes for its feeds, and reads threats, whose revisions it must know.
    Publisher,
    /// Calls every method, for every feed.
    Operator,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Subscriber, Self::Publisher, Self::Operator];

    /// `None` where there is no such role.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == text)
    }

    /// As in the file of identities.
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
pub enum MethodAccess {
    /// Anyone, authenticated or not: probes have no credentials, and only learn whether the server
    /// is ready.
    Anyone,
    /// Any identity: the protocol is no secret, but describing it costs work.
    AnyIdentity,
    /// Identities with at least one of these roles.
    Roles(&'static [Role]),
}

impl MethodAccess {
    /// Whether an identity with these roles may call it.
    pub fn allows(self, roles: &[Role]) -> bool {
        match self {
            Self::Anyone | Self::AnyIdentity => true,
            Self::Roles(allowed) => allowed.iter().any(|role| roles.contains(role)),
        }
    }
}

impl fmt::Display for MethodAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::AnyIdentity => f.write_str("any identity"),
            Self::Roles(roles) => {
                f.write_str(&roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// With its package.
    pub service: &'static str,
    pub name: &'static str,
    pub access: MethodAccess,
}

/// Every method that can be called.
pub const METHODS: &[Method] = {
    use Role::{Operator, Publisher, Subscriber};
    const READ: MethodAccess = MethodAccess::Roles(&[Subscriber, Operator]);
    const PUBLISH: MethodAccess = MethodAccess::Roles(&[Publisher, Operator]);
    // A publisher must know the revision that its own follows.
    const READ_THREATS: MethodAccess = MethodAccess::Roles(&[Subscriber, Publisher, Operator]);
    const ALERTS: &str = "lodewatch.v1.AlertService";
    const FEEDS: &str = "lodewatch.v1.FeedService";
    const MARKETS: &str = "lodewatch.v1.MarketService";
    const POLICIES: &str = "lodewatch.v1.PolicyService";
    const REPLICAS: &str = "lodewatch.v1.ReplicaService";
    const OPERATE: MethodAccess = MethodAccess::Roles(&[Operator]);
    const HEALTH: &str = "grpc.health.v1.Health";
    const REFLECTION: &str = "grpc.reflection.v1.ServerReflection";
    const REFLECTION_ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";
    &[
        Method { service: FEEDS, name: "Publish", access: PUBLISH },
        Method { service: FEEDS, name: "PublishStream", access: PUBLISH },
        Method { service: ALERTS, name: "Subscribe", access: READ },
        Method { service: ALERTS, name: "ListAlerts", access: READ },
        Method { service: ALERTS, name: "GetAlert", access: READ },
        Method { service: MARKETS, name: "ListMarkets", access: READ },
        Method { service: MARKETS, name: "GetMarket", access: READ },
        Method { service: MARKETS, name: "WatchMarkets", access: READ },
        Method { service: MARKETS, name: "ListThreats", access: READ_THREATS },
        Method { service: MARKETS, name: "GetThreat", access: READ_THREATS },
        Method { service: POLICIES, name: "GetPolicy", access: READ },
        Method { service: POLICIES, name: "Simulate", access: READ },
        Method { service: POLICIES, name: "Backtest", access: READ },
        Method { service: REPLICAS, name: "FetchArchive", access: OPERATE },
        Method { service: HEALTH, name: "Check", access: MethodAccess::Anyone },
        Method { service: HEALTH, name: "Watch", access: MethodAccess::Anyone },
        Method {
            service: REFLECTION,
            name: "ServerReflectionInfo",
            access: MethodAccess::AnyIdentity,
        },
        Method {
            service: REFLECTION_ALPHA,
            name: "ServerReflectionInfo",
            access: MethodAccess::AnyIdentity,
        },
    ]
};

/// The row of a path such as `/lodewatch.v1.FeedService/Publish`; `None` where there is none.
pub fn find_method(path: &str) -> Option<&'static Method> {
    let (service, name) = path.strip_prefix('/')?.split_once('/')?;
    METHODS.iter().find(|method| method.service == service && method.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_without_a_row_is_not_found() {
        assert!(find_method("/lodewatch.v1.FeedService/Publish").is_some());
        for path in
            ["", "/", "Publish", "/lodewatch.v1.FeedService/Erase", "//", "/a/b/c", "/x/Publish"]
        {
            assert!(find_method(path).is_none(), "{path}");
        }
    }
}
