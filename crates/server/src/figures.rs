//! What Prometheus reads at `/metrics`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the histograms' buckets in seconds: from a read that is in memory to a search that is too slow.
const BOUNDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// Counts by bound, and the sum.
#[derive(Default, Clone)]
struct Histogram {
    counts: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

impl Histogram {
    fn add(&mut self, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        if let Some(bucket) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.counts[bucket] += 1;
        }
        self.count += 1;
        self.seconds += seconds;
    }

    fn write(&self, text: &mut String, name: &str, labels: &str) {
        let mut below = 0;
        for (bound, count) in BOUNDS.iter().zip(self.counts) {
            below += count;
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
        }
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", self.count);
        let _ = writeln!(text, "{name}_sum{{{labels}}} {}", self.seconds);
        let _ = writeln!(text, "{name}_count{{{labels}}} {}", self.count);
    }
}

/// A server's counts since its start. A label is a route's name, never a path: paths are without number.
#[derive(Default)]
pub(crate) struct Figures {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    durations: Mutex<BTreeMap<&'static str, Histogram>>,
    operations: Mutex<BTreeMap<&'static str, Histogram>>,
    in_flight: AtomicI64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Figures {
    /// A request begins.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request is answered. Sizes in bytes, as far as they are known beforehand.
    pub fn end(&self, route: &'static str, status: u16, elapsed: Duration, received: u64, sent: u64) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.received.fetch_add(received, Ordering::Relaxed);
        self.sent.fetch_add(sent, Ordering::Relaxed);
        *lock(&self.requests).entry((route, status)).or_default() += 1;
        lock(&self.durations).entry(route).or_default().add(elapsed);
    }

    /// Blocking work was done, most of it the store's.
    pub fn operation(&self, operation: &'static str, elapsed: Duration) {
        lock(&self.operations).entry(operation).or_default().add(elapsed);
    }

    /// In Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(8192);
        let head = |text: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        };
        head(&mut text, "anmok_http_requests_total", "counter", "Requests answered, by route and status.");
        for ((route, status), count) in lock(&self.requests).iter() {
            let _ = writeln!(text, "anmok_http_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}");
        }
        head(&mut text, "anmok_http_request_duration_seconds", "histogram", "Time until the answer began, by route.");
        for (route, histogram) in lock(&self.durations).iter() {
            histogram.write(&mut text, "anmok_http_request_duration_seconds", &format!("route=\"{route}\""));
        }
        head(&mut text, "anmok_store_duration_seconds", "histogram", "Time in the store, by operation, waiting for it not included.");
        for (operation, histogram) in lock(&self.operations).iter() {
            histogram.write(&mut text, "anmok_store_duration_seconds", &format!("operation=\"{operation}\""));
        }
        head(&mut text, "anmok_http_requests_in_flight", "gauge", "Requests under way.");
        let _ = writeln!(text, "anmok_http_requests_in_flight {}", self.in_flight.load(Ordering::Relaxed));
        head(&mut text, "anmok_http_received_bytes_total", "counter", "Bytes of request bodies.");
        let _ = writeln!(text, "anmok_http_received_bytes_total {}", self.received.load(Ordering::Relaxed));
        head(&mut text, "anmok_http_sent_bytes_total", "counter", "Bytes of answers, streams of unknown length not included.");
        let _ = writeln!(text, "anmok_http_sent_bytes_total {}", self.sent.load(Ordering::Relaxed));
        if let Some(bytes) = resident_bytes() {
            head(&mut text, "process_resident_memory_bytes", "gauge", "Memory of this process that is in RAM.");
            let _ = writeln!(text, "process_resident_memory_bytes {bytes}");
        }
        text
    }
}

/// The second figure of `/proc/self/statm`, in pages of 4 KiB; `None` where there is no such file.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split_whitespace().nth(1)?.parse::<u64>().ok().map(|pages| pages * 4096)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
