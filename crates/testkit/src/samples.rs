//! Updates as tests send them.

use lodewatch::grpc::json::from_json;
use lodewatch_proto::v1::Update;
use std::path::Path;

/// A report of shares, the rest residual: `report("gallium", "2024", &[("CHN", 0.99)])`, for
/// refining.
pub fn report(mineral: &str, period: &str, shares: &[(&str, f64)]) -> Update {
    let rows = shares
        .iter()
        .map(|(country, share)| format!(r#"{{"country":"{country}","share":{share}}}"#));
    let rows = rows.collect::<Vec<_>>().join(",");
    update(&format!(
        r#"{{"report":{{"mineral":"{mineral}","stage":"STAGE_REFINING","source":"TEST","period":"{period}",
        "vintage":"2024-01-31","rows":[{rows}]}}}}"#
    ))
}

/// A prohibition in force from a day on.
pub fn ban(id: &str, by: &str, toward: &str, mineral: &str, from: &str) -> Update {
    let destination = if toward == "all" {
        String::new()
    } else {
        format!(r#""destination":{{"only":["{toward}"]}},"#)
    };
    update(&format!(
        r#"{{"threat":{{"id":"{id}","title":"Ban","imposing":"{by}",{destination}"minerals":["{mineral}"],
        "measure":"MEASURE_PROHIBITION","dateAnnounced":"{from}","dateEffective":"{from}"}}}}"#
    ))
}

/// Takes a threat from the record.
pub fn removal(id: &str) -> Update {
    update(&format!(r#"{{"removal":{{"threatId":"{id}"}}}}"#))
}

pub fn update(json: &str) -> Update {
    from_json(json).unwrap()
}

/// A report whose concentration goes up and down with `turn`, so that every turn crosses
/// thresholds: China alone, or twenty countries alike.
pub fn swing(mineral: &str, turn: usize) -> Update {
    const MANY: [&str; 20] = [
        "ARG", "AUS", "AUT", "BEL", "BOL", "BRA", "CAN", "CHL", "CHN", "CZE", "DEU", "ESP", "FIN",
        "FRA", "IDN", "IND", "JPN", "MEX", "PER", "USA",
    ];
    let alike = MANY.map(|country| (country, 0.05));
    let alone = [("CHN", 0.9), ("USA", 0.05)];
    report(mineral, "2024", if turn.is_multiple_of(2) { &alone } else { &alike })
}

/// A file of `crates/importers/samples`.
pub fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../importers/samples").join(name);
    path.to_str().unwrap().to_owned()
}

/// All of the USGS release of 2025, and the world production of the release of 2026.
pub const MCS_2025: &str = "usgs/MCS2025_World_Data.csv";
pub const MCS_2026: &str = "usgs/MCS2026_world_production.csv";
