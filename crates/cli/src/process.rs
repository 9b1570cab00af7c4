//! This process, so that others can tell whether it is still alive.

use crate::machine;
use anmok_protocol::RunTag;
use serde::{Deserialize, Serialize};

/// The tag that says which process trains a run.
pub const PROCESS_TAG: &str = "anmok.process";

/// A process as one can find it again: the number alone is given to another one sooner or later, on another machine, after a
/// restart, in another container at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    host: String,
    /// Of this start of the machine.
    boot: String,
    /// The container, as far as process numbers go; empty where there are none.
    #[serde(default)]
    pid_namespace: String,
    pid: u32,
    /// When it began, in the system's own unit; empty if the system does not tell.
    #[serde(default)]
    started: String,
}

/// What can be said of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Alive,
    Dead,
    /// It is not of this machine, or not to be seen from here.
    Unknown,
}

impl Process {
    /// This process; `None` where the system does not tell enough.
    pub fn this() -> Option<Self> {
        let pid = std::process::id();
        Some(Self { host: machine::host(), boot: boot()?, pid_namespace: pid_namespace(), pid, started: started(pid).unwrap_or_default() })
    }

    /// The run's tag.
    pub fn tag(&self) -> RunTag {
        RunTag::new(PROCESS_TAG, serde_json::json!(self).to_string())
    }

    /// From the run's tag.
    pub fn from_tag(value: &str) -> Option<Self> {
        serde_json::from_str(value).ok()
    }

    /// Whether it is alive, as seen from `here`.
    pub fn life(&self, here: &Self) -> Life {
        if self.host != here.host || (self.boot == here.boot && self.pid_namespace != here.pid_namespace) {
            return Life::Unknown;
        }
        if self.boot != here.boot {
            // Another machine may have the same name (laptops called "localhost"): the names of containers are made anew.
            return Life::Unknown;
        }
        match started(self.pid) {
            Some(now) if self.started.is_empty() || now == self.started => Life::Alive,
            Some(_) => Life::Dead,
            None if exists(self.pid) => Life::Alive,
            None => Life::Dead,
        }
    }
}

fn boot() -> Option<String> {
    if cfg!(target_os = "macos") {
        return machine::command("sysctl", &["-n", "kern.bootsessionuuid"]);
    }
    Some(std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

fn pid_namespace() -> String {
    std::fs::read_link("/proc/self/ns/pid").map_or(String::new(), |link| link.display().to_string())
}

/// When a process began, in clock ticks since the machine did; on a Mac as `ps` tells it.
fn started(pid: u32) -> Option<String> {
    if cfg!(target_os = "macos") {
        return machine::command("ps", &["-o", "lstart=", "-p", &pid.to_string()]);
    }
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the state follows it, and is the third field.
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
    // One that has ended and waits for its parent to ask does nothing any more.
    (!matches!(*fields.first()?, "Z" | "X")).then(|| fields.get(19).map(|&ticks| ticks.to_owned()))?
}

/// Whether there is such a process at all, zombies aside: where its beginning is hidden from this user.
fn exists(pid: u32) -> bool {
    let hidden = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    matches!(hidden, Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_of_this_machine_can_be_called_dead() {
        let this = Process::this().expect("this system tells");
        assert_eq!(Process::from_tag(&this.tag().value), Some(this.clone()));
        assert_eq!(this.life(&this), Life::Alive);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = Process { pid: child.id(), started: started(child.id()).unwrap(), ..this.clone() };
        assert_eq!(other.life(&this), Life::Alive);
        child.kill().unwrap();
        // A zombie until it is waited for.
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(other.life(&this), Life::Dead);
        child.wait().unwrap();
        assert_eq!(other.life(&this), Life::Dead);
        // The same number, given to another process.
        assert_eq!(Process { started: "1".to_owned(), ..this.clone() }.life(&this), Life::Dead);
        for elsewhere in [
            Process { host: "elsewhere".to_owned(), ..other.clone() },
            Process { boot: "before".to_owned(), ..other.clone() },
            Process { pid_namespace: "pid:[1]".to_owned(), ..other.clone() },
        ] {
            assert_eq!(elsewhere.life(&this), Life::Unknown);
        }
    }
}
