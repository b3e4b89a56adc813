//! The process, as Linux reports it, under the metric names that all exporters use.

use procfs::process::LimitValue;
use procfs::{ProcResult, WithCurrentSystemInfo};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::time::Duration;

/// Reads `/proc/self` at every scrape.
#[derive(Debug)]
pub(super) struct ProcessCollector;

struct ProcessStats {
    cpu_seconds: f64,
    resident_bytes: u64,
    start_seconds: f64,
    open_fds: u64,
    max_fds: u64,
}

impl ProcessStats {
    fn read() -> ProcResult<Self> {
        let process = procfs::process::Process::myself()?;
        let stat = process.stat()?;
        let seconds = |ticks: u64| {
            let millis = ticks.saturating_mul(1000).div_euclid(procfs::ticks_per_second().max(1));
            Duration::from_millis(millis).as_secs_f64()
        };
        let boot = Duration::from_secs(procfs::boot_time_secs()?).as_secs_f64();
        let max_fds = match process.limits()?.max_open_files.soft_limit {
            LimitValue::Value(value) => value,
            LimitValue::Unlimited => u64::MAX,
        };
        Ok(Self {
            cpu_seconds: seconds(stat.utime.saturating_add(stat.stime)),
            resident_bytes: stat.rss_bytes().get(),
            start_seconds: boot + seconds(stat.starttime),
            open_fds: u64::try_from(process.fd_count()?).unwrap_or(u64::MAX),
            max_fds,
        })
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // A process that may not read its own /proc entry exports nothing.
        let Ok(stats) = ProcessStats::read() else { return Ok(()) };
        let (to, cpu) = (&mut encoder, ConstCounter::new(stats.cpu_seconds));
        encode_metric(to, "process_cpu_seconds", "User and system CPU time.", &cpu)?;
        let (name, memory) =
            ("process_resident_memory_bytes", ConstGauge::new(stats.resident_bytes));
        encode_metric(to, name, "Resident memory.", &memory)?;
        let (name, start) = ("process_start_time_seconds", ConstGauge::new(stats.start_seconds));
        encode_metric(to, name, "Start of the process, as a Unix time.", &start)?;
        let (open, max) = (ConstGauge::new(stats.open_fds), ConstGauge::new(stats.max_fds));
        encode_metric(to, "process_open_fds", "Open file descriptors.", &open)?;
        encode_metric(to, "process_max_fds", "Limit on open file descriptors.", &max)
    }
}

fn encode_metric<M: EncodeMetric + TypedMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &M,
) -> Result<(), fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, M::TYPE)?)
}
