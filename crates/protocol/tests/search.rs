//! Whatever the text, the parser answers; what it says points into the text; what it reads it reads the same again.

use anmok_protocol::search::{Clause, Comparison, Filter, Order, TextTest};
use anmok_protocol::{
    ExperimentFilter, ExperimentOrder, LoggedModelFilter, LoggedModelOrder, ModelVersionFilter, ModelVersionOrder, RegisteredModelFilter,
    RegisteredModelOrder, RunFilter, RunOrder, SearchError,
};
use proptest::prelude::*;

#[test]
fn errors_point_at_the_problem() {
    let check = |text: &str, at: &str| {
        let error = RunFilter::parse(text).expect_err(text);
        let expected = if at.is_empty() { text.len() } else { text.find(at).expect("the place is in the text") };
        assert_eq!(error.position, expected, "{text:?}: {error}");
        assert!(error.to_string().ends_with(&format!("(at byte {expected})")), "{error}");
    };
    check("metrics.a > 1 OR metrics.b > 2", "OR");
    check("metrics.정확도 > 1 or x", "or x");
    check("metrics.a > 'x'", "'x'");
    check("metrics.a >", "");
    check("metrics.a", "");
    check("params.a = 'x' and foo.b = 'y'", "foo");
    check("params.a = 'open", "'open");
    check("params.a = `x`", "`x`");
    check("tags.a > 'x'", "> 'x'");
    check("tags.a not like 'x'", "not");
    check("run_id in ('a', 5)", "5");
    check("run_id in ()", ")");
    check("metrics.a > 1 ; x", ";");
    check("status in ('a')", "(");
    check("metrics.a is null", "metrics");
    check("tags.a is not 5", "5");
}

#[test]
fn an_empty_filter_lets_everything_through() {
    assert_eq!(RunFilter::parse("").unwrap(), RunFilter::default());
    assert_eq!(RunFilter::parse(" \n\t").unwrap(), RunFilter::default());
}

#[test]
fn every_kind_of_clause_is_written_as_it_is_read() {
    let check = |text: &str| {
        let filter = RunFilter::parse(text).unwrap();
        assert_eq!(RunFilter::parse(&filter.to_text().unwrap()).unwrap(), filter, "{text}");
    };
    check("metrics.`val/accuracy` >= 0.5 and metrics.\"a`b\" < -1e999 and metrics.loss != 1e-300");
    check("params.a = \"it's\" and tags.`mlflow.source.name` ILIKE '%한%' and params.b is null and tags.c is not null");
    check("run_id IN ('a', \"b'\") and status != 'FINISHED' and start_time > 1700000000000 and end_time <= 5");
    check("datasets.context NOT IN ('train') and dataset.name LIKE 'C%' and dataset.digest = 'x' and user_id = 'u' and run_name = 'n'");
    let text = "experiment_id IN ('1', '2') and name LIKE 'a%' and creation_time >= 5 and last_update_time < 9 and tags.t = 'x'";
    let filter = ExperimentFilter::parse(text).unwrap();
    assert_eq!(ExperimentFilter::parse(&filter.to_text().unwrap()).unwrap(), filter);
    for text in ["metrics.`a b` DESC", "params.x ASC", "tags.y ASC", "start_time DESC", "status ASC"] {
        let order = RunOrder::parse(text).unwrap();
        assert_eq!(RunOrder::parse(&order.to_text().unwrap()).unwrap(), order, "{text}");
    }
    let both = RunFilter { clauses: vec![Clause::Tag { key: "a".into(), test: TextTest::Equal("'x\"".into()) }] };
    assert!(both.to_text().unwrap_err().message.contains("cannot hold the text"));
}

#[test]
fn a_field_can_be_ordered_by_only_once() {
    assert_eq!(RunOrder::parse_all(&["metrics.a", "metrics.b DESC"]).unwrap().len(), 2);
    let error = RunOrder::parse_all(&["start_time", "created DESC"]).unwrap_err();
    assert_eq!(error.message, "`order_by` contains duplicate fields: ['start_time', 'created DESC']");
}

/// Pieces of filters in any order, closer to real ones than arbitrary text.
fn shreds() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "metrics",
        "params",
        "tags",
        "run",
        ".",
        "a",
        "`a b`",
        "\"x\"",
        "'y'",
        "'",
        "\"",
        "`",
        "=",
        "!=",
        "<>",
        "<",
        ">=",
        "LIKE",
        "ILIKE",
        "IN",
        "NOT",
        "IS",
        "NULL",
        "AND",
        "OR",
        "(",
        ")",
        ",",
        " ",
        "1",
        "-1.5e3",
        "1e",
        ".5",
        "5.",
        "\\",
        "한",
        "\u{0}",
        "start_time",
        "run_id",
        "dataset.name",
        "experiment_id",
        "creation_time",
        "name",
        "attribute",
        "version_number",
        "metrics.a",
        "status",
        ";",
        "--",
    ]);
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// A key that needs no quotes, or that stands in back-ticks.
fn key() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        "[a-z_][a-z0-9_]{0,8}(\\.[a-z0-9_]{1,5}){0,2}".prop_map(|key| (key.clone(), key)),
        "[a-z/:. -]{1,12}".prop_map(|key| (format!("`{key}`"), key)),
    ]
}

proptest! {
    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        answered(&text)?;
    }

    #[test]
    fn any_shreds_are_answered(text in shreds()) {
        answered(&text)?;
    }

    #[test]
    fn what_is_read_is_written_so_that_it_is_read_the_same(text in shreds()) {
        if let Ok(filter) = RunFilter::parse(&text) && let Ok(written) = filter.to_text() {
            prop_assert_eq!(RunFilter::parse(&written), Ok(filter), "{}", written);
        }
        if let Ok(filter) = ExperimentFilter::parse(&text) && let Ok(written) = filter.to_text() {
            prop_assert_eq!(ExperimentFilter::parse(&written), Ok(filter), "{}", written);
        }
        if let Ok(order) = RunOrder::parse(&text) && let Ok(written) = order.to_text() {
            prop_assert_eq!(RunOrder::parse(&written), Ok(order), "{}", written);
        }
    }

    #[test]
    fn a_written_filter_is_read_back(
        (written, key) in key(),
        value in any::<f64>().prop_filter("a filter has no word for it", |value| value.is_finite()),
        text in "[^'\\\\]{0,20}",
        operator in 0..6_usize,
    ) {
        let (symbol, comparison) = [
            ("=", Comparison::Equal), ("!=", Comparison::NotEqual), ("<", Comparison::Less),
            ("<=", Comparison::LessOrEqual), (">", Comparison::Greater), (">=", Comparison::GreaterOrEqual),
        ][operator];
        let filter = RunFilter::parse(&format!("metrics.{written}{symbol}{value:?} AND tag.{written} ILIKE '{text}'")).unwrap();
        prop_assert_eq!(filter.clauses, vec![
            Clause::Metric { key: key.clone(), comparison, value },
            Clause::Tag { key, test: TextTest::ILike(text) },
        ]);
    }
}

/// Every parser answers, points into the text, and makes no more of it than is there.
fn answered(text: &str) -> Result<(), TestCaseError> {
    fn filter<C>(text: &str, parsed: Result<Filter<C>, SearchError>) -> Result<(), TestCaseError> {
        match parsed {
            Ok(filter) => prop_assert!(filter.clauses.len() <= text.len()),
            Err(error) => prop_assert!(text.is_char_boundary(error.position), "{}", error),
        }
        Ok(())
    }
    fn order<F>(text: &str, parsed: Result<Order<F>, SearchError>) -> Result<(), TestCaseError> {
        prop_assert!(parsed.err().is_none_or(|error| text.is_char_boundary(error.position)));
        Ok(())
    }
    filter(text, RunFilter::parse(text))?;
    filter(text, ExperimentFilter::parse(text))?;
    filter(text, RegisteredModelFilter::parse(text))?;
    filter(text, ModelVersionFilter::parse(text))?;
    filter(text, LoggedModelFilter::parse(text))?;
    order(text, RunOrder::parse(text))?;
    order(text, ExperimentOrder::parse(text))?;
    order(text, RegisteredModelOrder::parse(text))?;
    order(text, ModelVersionOrder::parse(text))?;
    drop(LoggedModelOrder::parse(text, true, None, Some("x")));
    Ok(())
}
