//! The validation split: stratified by class, a function of the labels and a seed.

use anmok_random::{bits, key};

use crate::error::DataError;

/// Indices into a training set, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// What the network learns from.
    pub train: Vec<u32>,
    /// What is held out.
    pub validation: Vec<u32>,
}

/// Holds out `share` of the images (in `[0, 1)`), rounded half up over the whole set, in proportion to the classes.
///
/// With `v` images to hold out of `n`, class `c` of `n_c` images gives `floor(v * n_c / n)`, and the classes with the
/// largest remainders one more (of equal ones the lower class). Within a class the images with the lowest
/// `bits(key([split_seed, "valsplit"]), index)` are taken. `bench/` repeats this in Python, word for word, so that
/// PyTorch trains on the same indices.
pub fn stratified_split(labels: &[u32], share: f64, split_seed: u64) -> Result<Split, DataError> {
    let held_out = (labels.len() as f64 * share + 0.5).floor();
    if !(0.0..1.0).contains(&share) || held_out >= labels.len() as f64 {
        return Err(DataError::setting(
            "validation_split",
            share,
            format!("from 0 to below 1, leaving at least one of the {} images to train on", labels.len()),
        ));
    }
    Ok(split(labels, held_out as usize, key(&[split_seed, u64::from_be_bytes(*b"valsplit")])))
}

/// Takes `held_out` images in proportion to the classes, those of lowest rank under `rank_key`.
pub(crate) fn split(labels: &[u32], held_out: usize, rank_key: u64) -> Split {
    let classes = labels.iter().max().map_or(0, |&last| last as usize + 1);
    let mut members: Vec<Vec<u32>> = vec![vec![]; classes];
    for (index, &label) in labels.iter().enumerate() {
        members[label as usize].push(index as u32);
    }
    let counts: Vec<usize> = members.iter().map(Vec::len).collect();
    let mut validation = Vec::with_capacity(held_out);
    for (members, count) in members.iter_mut().zip(quotas(labels.len(), held_out, &counts)) {
        members.sort_unstable_by_key(|&index| bits(rank_key, u64::from(index)));
        validation.extend_from_slice(&members[..count]);
    }
    validation.sort_unstable();
    let train = (0..labels.len() as u32).filter(|index| validation.binary_search(index).is_err()).collect();
    Split { train, validation }
}

/// How many of each class: Hamilton's method of largest remainders, in whole numbers.
fn quotas(total: usize, held_out: usize, counts: &[usize]) -> Vec<usize> {
    let product = |count: usize| held_out as u128 * count as u128;
    let mut quotas: Vec<usize> = counts.iter().map(|&count| (product(count) / total as u128) as usize).collect();
    let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
    by_remainder.sort_by_key(|&class| (std::cmp::Reverse(product(counts[class]) % total as u128), class));
    let left = held_out - quotas.iter().sum::<usize>();
    by_remainder[..left].iter().for_each(|&class| quotas[class] += 1);
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fifty thousand labels in a pattern; the numbers are from the Python version in `bench/`.
    #[test]
    fn the_split_of_a_set_as_large_as_cifar_never_changes() {
        let labels: Vec<u32> = (0..50_000).map(|i| (i * 7 + i / 13) % 10).collect();
        let check = |seed: u64, first: [u32; 6], sum: u64| {
            let split = stratified_split(&labels, 0.1, seed).unwrap();
            assert_eq!((split.train.len(), split.validation.len()), (45_000, 5_000));
            assert_eq!((&split.validation[..6], split.validation.iter().map(|&i| u64::from(i)).sum::<u64>()), (first.as_slice(), sum));
        };
        check(0, [12, 33, 41, 55, 56, 60], 125_352_925);
        check(1, [9, 36, 41, 60, 66, 70], 125_522_459);
    }

    #[test]
    fn both_parts_are_in_file_order_and_cover_everything_once() {
        let labels: Vec<u32> = (0..997).map(|i| i * i % 7).collect();
        let Split { train, validation } = stratified_split(&labels, 0.37, 5).unwrap();
        assert!(train.is_sorted() && validation.is_sorted());
        let mut all = [train, validation].concat();
        all.sort_unstable();
        assert_eq!(all, (0..997).collect::<Vec<_>>());
    }

    #[test]
    fn remainders_go_to_the_largest_then_to_the_lower_class() {
        assert_eq!(quotas(10, 5, &[3, 3, 3, 1]), [2, 2, 1, 0]);
        assert_eq!(quotas(11, 3, &[5, 4, 2]), [1, 1, 1]);
        assert_eq!(quotas(50_000, 5_000, &[5_000; 10]), [500; 10]);
        assert_eq!(quotas(4, 0, &[2, 2]), [0, 0]);
    }

    #[test]
    fn a_share_that_leaves_nothing_to_train_on_is_refused() {
        for share in [-0.1, 1.0, 0.99, f64::NAN] {
            assert!(stratified_split(&[0, 1, 0, 1], share, 0).unwrap_err().to_string().starts_with("validation_split is"), "{share}");
        }
        assert_eq!(stratified_split(&[0, 1, 0, 1], 0.0, 0).unwrap().train, [0, 1, 2, 3]);
    }
}
