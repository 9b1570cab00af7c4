//! What the system tells at one moment: on Linux by way of `/proc`; elsewhere only of the disk. What it does not tell is left out.

use super::MEGABYTE;
use std::fs::read_to_string;

/// At one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Readings {
    cpu: Option<Cpu>,
    memory: Option<Memory>,
    disk: Option<Disk>,
    network: Option<Network>,
}

/// Ticks since the machine was started, all processors together.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cpu {
    busy: u64,
    all: u64,
}

/// In bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Memory {
    total: f64,
    used: f64,
}

/// Of the root file system, in bytes, as `df` counts: what is kept for root counts as neither used nor available.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Disk {
    used: f64,
    available: f64,
}

/// Bytes since the machine was started, all interfaces together.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Network {
    received: f64,
    transmitted: f64,
}

impl Readings {
    pub fn now() -> Self {
        Self {
            cpu: read_to_string("/proc/stat").ok().and_then(|text| Cpu::parse(&text)),
            memory: read_to_string("/proc/meminfo").ok().and_then(|text| Memory::parse(&text)),
            disk: Disk::now(),
            network: read_to_string("/proc/net/dev").ok().and_then(|text| Network::parse(&text)),
        }
    }

    /// The metrics of this moment: processors since `before`, network since `start`, the rest as it is now.
    pub fn metrics(&self, before: &Self, start: &Self) -> Vec<(&'static str, f64)> {
        let tenths = |value: f64| (value * 10.0).round() / 10.0;
        let mut metrics = vec![];
        if let (Some(now), Some(before)) = (self.cpu, before.cpu) {
            let (busy, all) = (now.busy.saturating_sub(before.busy), now.all.saturating_sub(before.all));
            metrics.extend((all > 0).then(|| ("cpu_utilization_percentage", tenths(100.0 * busy as f64 / all as f64))));
        }
        if let Some(Memory { total, used }) = self.memory {
            metrics.push(("system_memory_usage_megabytes", tenths(used / MEGABYTE)));
            metrics.push(("system_memory_usage_percentage", tenths(100.0 * used / total.max(1.0))));
        }
        if let Some(Disk { used, available }) = self.disk {
            metrics.push(("disk_usage_percentage", tenths(100.0 * used / (used + available).max(1.0))));
            metrics.push(("disk_usage_megabytes", tenths(used / MEGABYTE)));
            metrics.push(("disk_available_megabytes", tenths(available / MEGABYTE)));
        }
        if let (Some(now), Some(start)) = (self.network, start.network) {
            metrics.push(("network_receive_megabytes", (now.received - start.received) / MEGABYTE));
            metrics.push(("network_transmit_megabytes", (now.transmitted - start.transmitted) / MEGABYTE));
        }
        metrics
    }
}

impl Cpu {
    /// `cpu user nice system idle iowait irq softirq steal guest guest_nice`; guests are in user and nice already. Waiting for a
    /// disk is idle, as psutil, which MLflow asks, has it.
    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|ticks| ticks.parse().ok()).collect();
        let all: u64 = ticks.iter().sum();
        let idle = ticks.get(3)? + ticks.get(4).unwrap_or(&0);
        Some(Self { busy: all - idle, all })
    }
}

impl Memory {
    /// Used is what is not available, as psutil has it since version 7.
    fn parse(meminfo: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes as f64 * 1024.0)
        };
        let (total, available) = (field("MemTotal:")?, field("MemAvailable:")?);
        Some(Self { total, used: (total - available).max(0.0) })
    }
}

impl Disk {
    fn now() -> Option<Self> {
        let found = rustix::fs::statvfs("/").ok()?;
        let bytes = |blocks: u64| blocks as f64 * found.f_frsize as f64;
        Some(Self { used: bytes(found.f_blocks.saturating_sub(found.f_bfree)), available: bytes(found.f_bavail) })
    }
}

impl Network {
    /// Per interface: name, a colon, eight numbers of what was received, eight of what was transmitted; bytes come first.
    fn parse(dev: &str) -> Option<Self> {
        let mut all = Self { received: 0.0, transmitted: 0.0 };
        for line in dev.lines().skip(2) {
            let (_, numbers) = line.split_once(':')?;
            let numbers: Vec<f64> = numbers.split_whitespace().map_while(|number| number.parse().ok()).collect();
            all.received += numbers.first()?;
            all.transmitted += numbers.get(8)?;
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_files_are_read_and_named_as_mlflow_names_them() {
        let moment = |busy: u64, received: u64| Readings {
            cpu: Cpu::parse(&format!("cpu  {busy} 0 10 80 10 0 0 0 5 5\ncpu0 1 1 1 1\n")),
            memory: Memory::parse("MemTotal:       2000 kB\nMemFree:  100 kB\nMemAvailable:    500 kB\n"),
            disk: Some(Disk { used: 3e9, available: 1e9 }),
            network: Network::parse(&format!(
                "Inter-|   Receive\n face |bytes\n    lo: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0\n  eth0:{received} 1 0 0 0 0 0 0 3000000 1 0 0 0 0 0 0\n"
            )),
        };
        let (start, before, now) = (moment(0, 0), moment(100, 0), moment(175, 2_000_000));
        let later = Readings { cpu: now.cpu.map(|cpu| Cpu { all: cpu.all + 25, ..cpu }), ..now };
        assert_eq!(
            later.metrics(&before, &start),
            [
                ("cpu_utilization_percentage", 75.0),
                ("system_memory_usage_megabytes", 1.5),
                ("system_memory_usage_percentage", 75.0),
                ("disk_usage_percentage", 75.0),
                ("disk_usage_megabytes", 3000.0),
                ("disk_available_megabytes", 1000.0),
                ("network_receive_megabytes", 2.0),
                ("network_transmit_megabytes", 0.0),
            ]
        );
        assert_eq!(Readings::default().metrics(&before, &start), []);
        for broken in ["", "cpu", "cpu x", "MemTotal: x kB", "a\nb\nc"] {
            assert_eq!((Cpu::parse(broken), Memory::parse(broken)), (None, None), "{broken}");
        }
        assert_eq!(Network::parse("a\nb\nc"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_tells_everything() {
        let now = Readings::now();
        assert!(now.cpu.is_some() && now.memory.is_some() && now.disk.is_some() && now.network.is_some(), "{now:?}");
    }
}
