//! The nearest known name to a misspelt one.

/// The known names that differ least from `name` (Levenshtein's distance, ignoring case and taking `-` for `_`), nearest
/// first, at most `most` of them, none that shares nothing with it.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    // No setting or parameter is longer: cut, so that the work stays bounded.
    let wanted: Vec<char> = name.chars().take(128).map(fold).collect();
    let mut ranked: Vec<(usize, &str)> = known
        .into_iter()
        .map(|candidate| (distance(&wanted, candidate), candidate))
        .filter(|(distance, candidate)| *distance < wanted.len().max(candidate.chars().count()))
        .collect();
    ranked.sort();
    ranked.truncate(most);
    ranked.into_iter().map(|(_, candidate)| candidate).collect()
}

fn fold(c: char) -> char {
    if c == '-' { '_' } else { c.to_ascii_lowercase() }
}

fn distance(wanted: &[char], candidate: &str) -> usize {
    let candidate: Vec<char> = candidate.chars().map(fold).collect();
    let mut row: Vec<usize> = (0..=candidate.len()).collect();
    for (i, a) in wanted.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in candidate.iter().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[candidate.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_different_name_comes_first() {
        let known = ["learning_rate", "final_learning_rate", "flip", "epochs"];
        assert_eq!(nearest("learnin-rate", known, 2), ["learning_rate", "final_learning_rate"]);
        assert_eq!(nearest("EPOCH", known, 1), ["epochs"]);
        assert_eq!(nearest("", known, 1), [""; 0]);
        assert_eq!(nearest("zzz", ["ab"], 1), [""; 0]);
    }
}
