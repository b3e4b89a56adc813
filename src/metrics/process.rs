//! The process, as Linux tells it, under the names that every exporter gives these figures.

use procfs::process::LimitValue;
use procfs::{ProcResult, WithCurrentSystemInfo};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::time::Duration;

/// Looks at `/proc/self` whenever Prometheus asks.
#[derive(Debug)]
pub(super) struct Process;

/// What is told of it.
struct Figures {
    cpu_seconds: f64,
    resident_bytes: u64,
    start_seconds: f64,
    open_fds: u64,
    max_fds: u64,
}

impl Figures {
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

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // Where the process may not look at itself, nothing is told.
        let Ok(figures) = Figures::read() else { return Ok(()) };
        let (to, cpu) = (&mut encoder, ConstCounter::new(figures.cpu_seconds));
        tell(to, "process_cpu_seconds", "Processor time, the user's and the system's.", &cpu)?;
        let (name, memory) =
            ("process_resident_memory_bytes", ConstGauge::new(figures.resident_bytes));
        tell(to, name, "Memory that is resident.", &memory)?;
        let (name, start) = ("process_start_time_seconds", ConstGauge::new(figures.start_seconds));
        tell(to, name, "When it started, as a Unix time.", &start)?;
        let (open, max) = (ConstGauge::new(figures.open_fds), ConstGauge::new(figures.max_fds));
        tell(to, "process_open_fds", "Open file descriptors.", &open)?;
        tell(to, "process_max_fds", "File descriptors that may be open.", &max)
    }
}

fn tell<M: EncodeMetric + TypedMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &M,
) -> Result<(), fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, M::TYPE)?)
}
