//! Guesses are few: after some wrong passwords, somebody waits, each time longer.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong passwords for one name from one address before waiting begins.
const OF_NAME: u32 = 10;
/// Wrong passwords for any names from one address. Behind a proxy many users share one.
const OF_ADDRESS: u32 = 100;
/// The longest wait, and how long the last wrong password is remembered.
const LONGEST: Duration = Duration::from_secs(60);
const REMEMBERED: Duration = Duration::from_secs(900);
/// Names are chosen by whoever guesses: no more than these are kept.
const KEPT: usize = 10_000;

/// Who guesses: an address, and a name if it is about one.
type Guesser = (IpAddr, Option<String>);

#[derive(Clone, Copy)]
struct Wrong {
    count: u32,
    last: Instant,
}

#[derive(Default)]
pub(super) struct Throttle {
    wrong: Mutex<HashMap<Guesser, Wrong>>,
}

impl Throttle {
    /// How long somebody must wait before a password is looked at; `None`: not at all.
    pub fn wait(&self, peer: IpAddr, username: &str, now: Instant) -> Option<Duration> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = guessers(peer, username).into_iter().filter_map(|(guesser, free)| {
            let wrong = wrong.get(&guesser)?;
            let beyond = wrong.count.checked_sub(free)?;
            let wait = LONGEST.min(Duration::from_secs(1 << beyond.min(6)));
            (wrong.last + wait).checked_duration_since(now).filter(|left| !left.is_zero())
        });
        waits.max()
    }

    /// A password was wrong.
    pub fn wrong(&self, peer: IpAddr, username: &str, now: Instant) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= KEPT {
            wrong.retain(|_, wrong| now.saturating_duration_since(wrong.last) < REMEMBERED);
            if wrong.len() >= KEPT {
                // What is about an address alone stays: it counts the guesses that fill the rest.
                wrong.retain(|(_, username), _| username.is_none());
            }
            if wrong.len() >= KEPT {
                wrong.clear();
            }
        }
        for (guesser, _) in guessers(peer, username) {
            let entry = wrong.entry(guesser).or_insert(Wrong { count: 0, last: now });
            if now.saturating_duration_since(entry.last) >= REMEMBERED {
                entry.count = 0;
            }
            *entry = Wrong { count: entry.count.saturating_add(1), last: now };
        }
    }

    /// A password was right.
    pub fn right(&self, peer: IpAddr, username: &str) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).remove(&(site(peer), Some(username.to_owned())));
    }
}

fn guessers(peer: IpAddr, username: &str) -> [(Guesser, u32); 2] {
    let site = site(peer);
    [((site, Some(username.to_owned())), OF_NAME), ((site, None), OF_ADDRESS)]
}

/// An address of IPv6 stands for its /64, all of which one machine may have.
fn site(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => IpAddr::V4(address),
            None => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_begins_late_grows_and_ends() {
        let (throttle, peer, other) = (Throttle::default(), IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut now = Instant::now();
        for _ in 0..OF_NAME - 1 {
            throttle.wrong(peer, "admin", now);
            assert_eq!(throttle.wait(peer, "admin", now), None);
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            throttle.wrong(peer, "admin", now);
            assert_eq!(throttle.wait(peer, "admin", now), Some(Duration::from_secs(seconds)));
            assert_eq!(throttle.wait(other, "admin", now), None, "somebody else's guesses lock nobody out");
            now += Duration::from_secs(seconds);
            assert_eq!(throttle.wait(peer, "admin", now), None);
        }
        throttle.right(peer, "admin");
        throttle.wrong(peer, "admin", now);
        assert_eq!(throttle.wait(peer, "admin", now), None);
    }

    #[test]
    fn many_names_from_one_address_are_guesses_too() {
        let (throttle, peer, now) = (Throttle::default(), IpAddr::from([10, 0, 0, 1]), Instant::now());
        for name in 0..OF_ADDRESS {
            throttle.wrong(peer, &name.to_string(), now);
        }
        assert_eq!(throttle.wait(peer, "admin", now), Some(Duration::from_secs(1)));
        for name in 0..2 * KEPT {
            throttle.wrong(peer, &name.to_string(), now);
        }
        assert!(throttle.wrong.lock().unwrap().len() <= KEPT + 1);
        assert_eq!(throttle.wait(peer, "admin", now), Some(LONGEST));
    }
}
