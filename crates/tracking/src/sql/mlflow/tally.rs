//! Counts and digests of what was read, by which two databases are compared.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use super::record::Cell;
use super::tables::Table;

/// Owners with a difference that are named.
const EXAMPLES: usize = 20;

/// How many rows, and a digest that does not depend on their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    digest: [u64; 4],
}

impl Sum {
    fn add(&mut self, digest: &[u64; 4]) {
        self.count += 1;
        for (sum, part) in self.digest.iter_mut().zip(digest) {
            *sum = sum.wrapping_add(*part);
        }
    }
}

/// The rows of some tables.
#[derive(Debug, Default)]
pub(super) struct Tally {
    tables: BTreeMap<&'static str, Sum>,
    owners: HashMap<(&'static str, String), Sum>,
}

impl Tally {
    pub fn add(&mut self, table: &Table, record: &[Cell]) {
        let digest = digest(table.name, record);
        self.tables.entry(table.name).or_default().add(&digest);
        self.owners.entry((table.owner.noun(), record[0].shown())).or_default().add(&digest);
    }

    /// How many rows of each table.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.tables.iter().map(|(table, sum)| ((*table).to_string(), sum.count)).collect()
    }

    /// What the other one has differently, in words. Empty: the two are the same.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut words: Vec<String> = vec![];
        let names: std::collections::BTreeSet<_> = self.tables.keys().chain(other.tables.keys()).collect();
        for name in names {
            let [here, there] = [self, other].map(|tally| tally.tables.get(*name).copied().unwrap_or_default());
            if here.count != there.count {
                words.push(format!("{name}: {} rows there, {} here", here.count, there.count));
            } else if here != there {
                words.push(format!("{name}: the same number of rows ({}), but not the same rows", here.count));
            }
        }
        let mut owners: Vec<String> = self
            .owners
            .iter()
            .filter(|(owner, sum)| other.owners.get(*owner) != Some(sum))
            .map(|((noun, id), _)| format!("{noun} {id} is not the same on both sides"))
            .collect();
        owners.sort_unstable();
        owners.truncate(EXAMPLES);
        words.extend(owners);
        words
    }
}

fn digest(table: &str, record: &[Cell]) -> [u64; 4] {
    let mut hash = Sha256::new();
    let mut part = |mark: u8, bytes: &[u8]| {
        hash.update([mark]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(b't', table.as_bytes());
    for cell in record {
        match cell {
            Cell::Null => part(b'-', &[]),
            Cell::Integer(value) => part(b'i', &value.to_le_bytes()),
            Cell::Real(value) => part(b'r', &value.to_bits().to_le_bytes()),
            Cell::Text(text) => part(b's', text.as_bytes()),
        }
    }
    let bytes: [u8; 32] = hash.finalize().into();
    std::array::from_fn(|index| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[index * 8..index * 8 + 8]);
        u64::from_le_bytes(word)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tables::{EXPERIMENTS, RUNS};
    use super::*;

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let rows = |values: &[(&str, i64)]| {
            let mut tally = Tally::default();
            for (id, number) in values {
                tally.add(&RUNS, &[Cell::Text((*id).into()), Cell::Integer(*number)]);
            }
            tally
        };
        let one = rows(&[("a", 1), ("b", 2), ("b", 2)]);
        assert_eq!(one.differences(&rows(&[("b", 2), ("a", 1), ("b", 2)])), Vec::<String>::new());
        assert_eq!(
            one.differences(&rows(&[("a", 1), ("b", 2), ("b", 3)])),
            ["runs: the same number of rows (3), but not the same rows", "run b is not the same on both sides"]
        );
        assert_eq!(one.differences(&rows(&[("a", 1), ("b", 2)])), ["runs: 3 rows there, 2 here", "run b is not the same on both sides"]);
        let mut other_table = Tally::default();
        other_table.add(&EXPERIMENTS, &[Cell::Text("a".into()), Cell::Integer(1)]);
        assert_ne!(digest("x", &[Cell::Text("ab".into())]), digest("x", &[Cell::Text("a".into()), Cell::Text("b".into())]));
        assert!(!rows(&[("a", 1)]).differences(&other_table).is_empty());
    }
}
