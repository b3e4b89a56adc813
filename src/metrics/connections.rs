//! Connections: how many are open, on which port.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Labels = [(&'static str, &'static str); 2];

/// Connections, by the setting that says where the port is and whether they are encrypted.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    accepted: Family<Labels, Counter>,
    open: Family<Labels, Gauge>,
}

impl Connections {
    pub(super) fn register(&self, ours: &mut Registry) {
        let help = "Connections that were accepted";
        ours.register("connections_accepted", help, self.accepted.clone());
        ours.register("connections_open", "Connections that are open", self.open.clone());
    }

    /// A connection is accepted; it is open until this is dropped.
    pub fn open(&self, port: &'static str, is_encrypted: bool) -> Connection {
        let labels = [("port", port), ("tls", if is_encrypted { "true" } else { "false" })];
        self.accepted.get_or_create(&labels).inc();
        let open = self.open.get_or_create_owned(&labels);
        open.inc();
        Connection(open)
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connection(Gauge);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
