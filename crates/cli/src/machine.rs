//! What this machine is: cores, memory, names. Nothing here is worth failing for, so absence is `None`.

use anmok_graph::Graph;
use anyhow::bail;

/// The memory of this machine or of the container's limit, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    pub free: u64,
    /// The control group's limit, where it is lower than the total.
    pub limit: Option<u64>,
}

impl Memory {
    /// As the system tells it.
    pub fn read() -> Option<Self> {
        if cfg!(target_os = "macos") {
            let total = command("sysctl", &["-n", "hw.memsize"])?.parse().ok()?;
            return Some(Self { total, free: total, limit: None });
        }
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let field = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
        };
        let total = field("MemTotal:")?;
        let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
        Some(Self { total, free: field("MemAvailable:")?, limit: limit.filter(|&limit| limit < total) })
    }

    /// What one program can have at most.
    pub fn usable(self) -> u64 {
        self.limit.unwrap_or(self.total)
    }
}

/// The processor's name.
pub fn processor() -> Option<String> {
    if cfg!(target_os = "macos") {
        return command("sysctl", &["-n", "machdep.cpu.brand_string"]);
    }
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let (_, name) = text.lines().find(|line| line.starts_with("model name"))?.split_once(": ")?;
    Some(name.to_owned())
}

/// The machine's name on the network.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The first line that a program prints, if it succeeds.
pub fn command(program: &str, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program).args(arguments).stdin(std::process::Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next().unwrap_or_default().trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}

/// Copies of every activation that a training step keeps, about: the map, its gradient, and what the fused passes need between.
const ACTIVATION_COPIES: u64 = 3;

/// Refuses a batch that this machine has no memory for: the system would end the program in the middle of a step, without a word.
pub fn check_batch_fits(graph: &Graph, batch_size: usize) -> anyhow::Result<()> {
    let per_image = anmok_graph::cost::summary(graph).total.activations as u64 * 4 * ACTIVATION_COPIES;
    let needed = per_image.saturating_mul(batch_size as u64);
    match Memory::read() {
        Some(memory) if needed > memory.usable() => bail!(
            "a batch of {batch_size} images through {} needs about {}, and this machine has {}: choose a smaller batch_size; \
             accumulate adds up the gradients of several batches",
            graph.name,
            crate::terminal::units::bytes(needed),
            crate::terminal::units::bytes(memory.usable())
        ),
        _ => Ok(()),
    }
}
