//! Which parameters train: the patterns of `freeze` against a network's parameter names.

use anmok_graph::Graph;

use super::RecipeError;
use super::spelling::nearest;

/// One flag per `graph.parameters`; false for those that a pattern matches. A pattern that matches no parameter, and
/// patterns that leave none to train, are errors: both are mistakes that would otherwise cost a whole run.
pub fn trainable(graph: &Graph, patterns: &[String]) -> Result<Vec<bool>, RecipeError> {
    let mut trainable = vec![true; graph.parameters.len()];
    for pattern in patterns {
        let mut matched = false;
        for (flag, parameter) in trainable.iter_mut().zip(&graph.parameters) {
            if matches(pattern, &parameter.name) {
                *flag = false;
                matched = true;
            }
        }
        if !matched {
            return Err(RecipeError::FreezeMatchesNothing {
                pattern: pattern.clone(),
                model: graph.name.clone(),
                nearest: candidates(graph, pattern),
            });
        }
    }
    if !trainable.is_empty() && !trainable.contains(&true) {
        return Err(RecipeError::EverythingFrozen { patterns: patterns.to_vec() });
    }
    Ok(trainable)
}

/// What the author of a pattern that matches nothing may have meant: whole parameter names for a pattern without
/// wildcards, modules with `.*` for one with.
fn candidates(graph: &Graph, pattern: &str) -> Vec<String> {
    let mut known: Vec<String> = vec![];
    for parameter in &graph.parameters {
        if pattern.contains(['*', '?']) {
            known.extend(parameter.name.match_indices('.').map(|(dot, _)| format!("{}.*", &parameter.name[..dot])));
        } else {
            known.push(parameter.name.clone());
        }
    }
    known.sort();
    known.dedup();
    nearest(pattern, known.iter().map(String::as_str), 3).into_iter().map(str::to_owned).collect()
}

/// Whether `name` as a whole fits `pattern`, where `*` stands for any characters (also none, also dots) and `?` for one.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // Greedy with one point of return, the last `*`: linear in practice, at worst the product of the lengths.
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, n));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == name[n]) {
            p += 1;
            n += 1;
        } else if let Some((star_p, star_n)) = star {
            star = Some((star_p, star_n + 1));
            p = star_p + 1;
            n = star_n + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use anmok_graph::zoo::{self, ZooOptions};

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, fits) in [
            ("features.*", "features.0.0.weight", true),
            ("features.*", "feature.0", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*.weight", "a.weight.weight", true),
            ("*a*b", "xaxaxb", true),
            ("*a*b", "xaxaxbc", false),
            ("layer?.0.*", "layer1.0.conv1.weight", true),
            ("layer?.0.*", "layer1.1.conv1.weight", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} against {name}");
        }
    }

    fn trainable_of(patterns: &[&str]) -> Result<usize, String> {
        let graph = zoo::build("mobilenet_v3_small", &ZooOptions::default()).unwrap();
        let patterns: Vec<String> = patterns.iter().map(|&p| p.to_owned()).collect();
        let flags = trainable(&graph, &patterns).map_err(|error| error.to_string())?;
        Ok(graph.parameters.iter().zip(flags).filter(|(_, flag)| *flag).map(|(p, _)| p.elements()).sum())
    }

    #[test]
    fn freezing_the_backbone_leaves_the_classifier() {
        assert_eq!(trainable_of(&[]), Ok(1_528_106));
        assert_eq!(trainable_of(&["features.*"]), Ok(576 * 1024 + 1024 + 1024 * 10 + 10));
    }

    #[test]
    fn a_pattern_that_matches_nothing_names_what_does() {
        let error = trainable_of(&["features.*", "clasifier.*"]).unwrap_err();
        assert!(error.contains("clasifier.*") && error.contains("`classifier.*`"), "{error}");
        let error = trainable_of(&["classifier.0.wieght"]).unwrap_err();
        assert!(error.contains("`classifier.0.weight`"), "{error}");
    }

    #[test]
    fn freezing_everything_is_refused() {
        let error = trainable_of(&["*"]).unwrap_err();
        assert!(error.contains("nothing is left to train"), "{error}");
    }
}
