//! Whether the dates of an update lie in a sane range: a report from the future would stay in force
//! for ever. Only checked when an update is published: entries of a journal are read as they are.

use super::{Checks, Path};
use lodewatch_core::domain::calendar::Calendar;
use lodewatch_core::domain::{Day, Report, Threat, Update};

/// Adds a violation for every date out of range; `newest` is the newest day that a report may be
/// released on. Returns whether there is none.
pub(super) fn check(checks: &mut Checks, field: Path<'_>, update: &Update, newest: Day) -> bool {
    match update {
        Update::Report(report) => check_report(checks, field.at("report"), report, newest),
        Update::Threat(threat) => check_threat(checks, field.at("threat"), threat),
        // Names what is on record.
        Update::Removal(_) | Update::ReportRemoval(_) => true,
    }
}

fn check_report(checks: &mut Checks, field: Path<'_>, report: &Report, newest: Day) -> bool {
    let vintage = report.vintage();
    let is_known = (Day::PUBLISHED_MIN..=newest).contains(&vintage);
    if !is_known {
        let min = Day::PUBLISHED_MIN;
        let why = format!("{vintage} is out of range: {min} to {newest}");
        checks.add(field.at("vintage"), why);
    }
    let year_max = newest.date().year().saturating_add(1);
    let is_near = report.period().year() <= year_max;
    if !is_near {
        let why = format!("{} is too far in the future: at most {year_max}", report.period());
        checks.add(field.at("period"), why);
    }
    is_known && is_near
}

fn check_threat(checks: &mut Checks, field: Path<'_>, threat: &Threat) -> bool {
    let Calendar { announced, effective, suspensions, removed } = &threat.calendar;
    let mut is_sane = true;
    let mut check = |name: &str, day: Option<Day>| {
        if let Some(day) = day.filter(|day| !day.is_publishable()) {
            checks.add(field.at(name), out_of_range(day));
            is_sane = false;
        }
    };
    check("date_announced", *announced);
    check("date_effective", *effective);
    check("date_removed", *removed);
    for (at, suspension) in suspensions.iter().enumerate() {
        check(&format!("suspensions[{at}].from"), Some(suspension.from));
        check(&format!("suspensions[{at}].until"), suspension.until);
    }
    for (at, evidence) in threat.evidence.iter().enumerate() {
        check(&format!("evidence[{at}].retrieved"), evidence.retrieved);
    }
    is_sane
}

/// Why a day cannot be used.
pub(super) fn out_of_range(day: Day) -> String {
    let (min, max) = (Day::PUBLISHED_MIN, Day::PUBLISHED_MAX);
    format!("{day} is out of range: {min} to {max}")
}

#[cfg(test)]
mod tests {
    use super::super::{publish, publish_by};
    use crate::grpc::codec::json;
    use crate::grpc::pb;
    use uuid::Uuid;

    fn faults(update: &str) -> Vec<String> {
        let updates = vec![json::from_json(update).unwrap()];
        let request =
            pb::PublishRequest { feed: "f".into(), updates, ..pb::PublishRequest::default() };
        publish(&request, Uuid::nil).expect("a journal may hold it");
        let newest = "2026-03-02".parse().unwrap();
        match publish_by(&request, Uuid::nil, newest) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(|one| one.field.clone()).collect(),
        }
    }

    fn report(period: &str, vintage: &str) -> Vec<String> {
        faults(&format!(
            r#"{{"report":{{"mineral":"tin","stage":"STAGE_MINING","source":"S","period":"{period}",
            "vintage":"{vintage}","rows":[{{"country":"CHN","share":1}}]}}}}"#
        ))
    }

    #[test]
    fn a_report_is_neither_from_the_future_nor_from_before_1900() {
        for (period, vintage) in
            [("1900", "1900-01-01"), ("2025", "2026-03-02"), ("2027", "2026-01-01")]
        {
            assert_eq!(report(period, vintage), [""; 0], "{period} {vintage}");
        }
        for vintage in ["1899-12-31", "2026-03-03", "9999-12-31", "0001-01-01"] {
            assert_eq!(report("2025", vintage), ["updates[0].report.vintage"], "{vintage}");
        }
        for period in ["2028", "2999-Q1", "2028-01"] {
            assert_eq!(report(period, "2026-01-01"), ["updates[0].report.period"], "{period}");
        }
    }

    #[test]
    fn every_date_of_a_threat_lies_in_range() {
        let threat = |dates: &str| {
            faults(&format!(
                r#"{{"threat":{{"id":"T","imposing":"CHN","minerals":["tin"],"measure":"MEASURE_QUOTA",{dates}}}}}"#
            ))
        };
        assert_eq!(threat(r#""dateAnnounced":"1900-01-01","dateRemoved":"2200-12-31""#), [""; 0]);
        let wild = r#""dateAnnounced":"1899-12-31","dateEffective":"2201-01-01","dateRemoved":"9999-12-31",
            "suspensions":[{"from":"2201-01-02","until":"2201-01-03"}],"evidence":[{"retrieved":"0001-01-01"}]"#;
        let fields = [
            "date_announced",
            "date_effective",
            "date_removed",
            "suspensions[0].from",
            "suspensions[0].until",
            "evidence[0].retrieved",
        ];
        assert_eq!(threat(wild), fields.map(|field| format!("updates[0].threat.{field}")));
    }
}
