//! Threats.

use super::{milli, share, weight};
use crate::domain::calendar::Suspension;
use crate::domain::policy::Jurisdiction;
use crate::domain::threat::{Evidence, Quota, Scope};
use crate::domain::{Day, Slug, Threat};
use crate::grpc::codec::enums::OnWire;
use crate::grpc::pb;

/// A threat as its publisher gives it.
pub fn threat(threat: &Threat) -> pb::Threat {
    let calendar = &threat.calendar;
    pb::Threat {
        id: threat.id.to_string(),
        state_act_id: slug(threat.state_act.as_ref()),
        title: threat.title.to_string(),
        evidence: threat.evidence.iter().map(evidence).collect(),
        imposing: threat.imposing.to_string(),
        authority: threat.authority.render().into(),
        destination: scope(&threat.scope),
        end_use: threat.end_use.render().into(),
        minerals: threat.minerals.iter().map(ToString::to_string).collect(),
        stages: threat.stages.iter().map(|stage| stage.render().into()).collect(),
        measure: threat.measure.render().into(),
        quota: threat.quota.as_ref().map(quota),
        tax_rate: threat.tax_rate.map(share),
        t_override: threat.t_override.map(weight),
        date_announced: day(calendar.announced),
        date_effective: day(calendar.effective),
        suspensions: calendar.suspensions.iter().map(suspension).collect(),
        date_removed: day(calendar.removed),
        superseded_by: slug(threat.superseded_by.as_ref()),
        confidence: threat.confidence.render().into(),
        revision: threat.revision,
    }
}

fn scope(scope: &Scope) -> Option<pb::Scope> {
    let names = |places: &[Jurisdiction]| places.iter().map(ToString::to_string).collect();
    match scope {
        Scope::All => None,
        Scope::Only(places) => Some(pb::Scope { only: names(places), except: Vec::new() }),
        Scope::Except(places) => Some(pb::Scope { only: Vec::new(), except: names(places) }),
    }
}

fn evidence(evidence: &Evidence) -> pb::Evidence {
    pb::Evidence {
        url: evidence.url.to_string(),
        publisher: evidence.publisher.to_string(),
        retrieved: day(evidence.retrieved),
    }
}

fn quota(quota: &Quota) -> pb::Quota {
    pb::Quota {
        value: milli(quota.value_milli),
        unit: quota.unit.to_string(),
        period: quota.period.to_string(),
    }
}

fn suspension(suspension: &Suspension) -> pb::Suspension {
    pb::Suspension { from: suspension.from.to_string(), until: day(suspension.until) }
}

fn day(day: Option<Day>) -> String {
    day.map(|day| day.to_string()).unwrap_or_default()
}

fn slug(slug: Option<&Slug>) -> String {
    slug.map(ToString::to_string).unwrap_or_default()
}
