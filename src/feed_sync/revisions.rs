//! Lists of measures carry no revisions; the record does.

use crate::grpc::pb::update::Update as Kind;
use crate::grpc::pb::{ListThreatsRequest, Threat, Update};
use lodewatch_client::Connection;
use std::collections::BTreeMap;
use tonic::Status;

/// Gives a threat that says something new the revision after the one in the record, and any other the one that is there,
/// so that a list can be read again when it has changed and changes nothing when it has not.
///
/// # Errors
///
/// What the server says to a request for the record.
pub async fn number(channel: Connection, updates: &mut [(usize, Update)]) -> Result<(), Status> {
    let request = ListThreatsRequest { page_size: 1000, ..ListThreatsRequest::default() };
    let records = lodewatch_client::list_all_threats(channel, request).await?;
    let recorded: BTreeMap<String, Threat> = records
        .into_iter()
        .filter_map(|record| record.threat)
        .map(|threat| (threat.id.clone(), threat))
        .collect();
    for (_, update) in updates {
        let Some(Kind::Threat(threat)) = &mut update.update else { continue };
        let Some(known) = recorded.get(&threat.id) else { continue };
        threat.revision = known.revision;
        if threat != known {
            threat.revision = known.revision.saturating_add(1);
        }
    }
    Ok(())
}
