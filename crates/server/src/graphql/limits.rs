//! Documents that would cost too much are refused before anything of them is carried out. Numbers and words are MLflow's.

use std::collections::HashSet;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, Selection, SelectionSet};

/// Levels of selections.
const DEPTH: usize = 10;

/// Selections in all. A fragment counts wherever it is spread: the library walks it as often, so that a chain of fragments that
/// spread the next one twice would never end.
const SELECTIONS: usize = 1000;

/// Fields at the top.
const ROOT_FIELDS: usize = 10;

/// Renamed fields of one level. One that is repeated under its name counts too: the library asks for it as often.
const ALIASES: usize = 10;

/// Bytes of a document; the web UI's are below 2,000. What is asked for by a long text goes into the variables.
const DOCUMENT: usize = 100_000;

/// A directive for Databricks that the web UI's documents carry; it changes nothing.
const COMPONENT: &str = "component";

/// Reads a document, within the limits.
pub(super) fn parse(text: &str) -> Result<ExecutableDocument, String> {
    if text.len() > DOCUMENT {
        return Err(format!(
            "The GraphQL document has {} bytes, and {DOCUMENT} are the most that is taken; put long values into the variables.",
            text.len()
        ));
    }
    let mut document = parse_query(text).map_err(|error| format!("Syntax Error: {error}"))?;
    check(&document)?;
    let operations = match &mut document.operations {
        DocumentOperations::Single(operation) => vec![operation],
        DocumentOperations::Multiple(operations) => operations.values_mut().collect(),
    };
    // The library has no directives of its users' own in a schema that is made at run time.
    operations.into_iter().for_each(|operation| operation.node.directives.retain(|directive| directive.node.name.node != COMPONENT));
    Ok(document)
}

fn check(document: &ExecutableDocument) -> Result<(), String> {
    let counted = Counted::of(document, document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node))?;
    // Those that are spread nowhere are looked at too, when the document is validated.
    for fragment in document.fragments.values() {
        Counted::of(document, [&fragment.node.selection_set.node])?;
    }
    let refuse = |most: usize, what: &str, got: usize| Err(format!("GraphQL queries should have at most {most} {what}, got {got} {what}."));
    if counted.root_fields > ROOT_FIELDS {
        return refuse(ROOT_FIELDS, "root fields", counted.root_fields);
    }
    if counted.aliases > ALIASES {
        return refuse(ALIASES, "aliases", counted.aliases);
    }
    Ok(())
}

#[derive(Default)]
struct Counted {
    selections: usize,
    root_fields: usize,
    /// Of the level with the most.
    aliases: usize,
}

impl Counted {
    /// Counts what is selected at and below some sets.
    fn of<'a>(document: &'a ExecutableDocument, roots: impl IntoIterator<Item = &'a SelectionSet>) -> Result<Self, String> {
        let mut counted = Self::default();
        let mut levels: Vec<(&SelectionSet, usize)> = roots.into_iter().map(|root| (root, 1)).collect();
        while let Some((set, depth)) = levels.pop() {
            if depth > DEPTH {
                return Err(format!("Query exceeds maximum depth of {DEPTH}"));
            }
            let below = counted.level(document, set, depth)?;
            levels.extend(below.into_iter().map(|set| (set, depth + 1)));
        }
        Ok(counted)
    }

    /// Counts one level, and what fragments bring to it; the sets below it.
    fn level<'a>(
        &mut self,
        document: &'a ExecutableDocument,
        set: &'a SelectionSet,
        depth: usize,
    ) -> Result<Vec<&'a SelectionSet>, String> {
        let (mut sets, mut below, mut names, mut aliases) = (vec![set], vec![], HashSet::new(), 0);
        while let Some(set) = sets.pop() {
            for selection in &set.items {
                self.selections += 1;
                // It ends the walk of a fragment that spreads itself, too.
                if self.selections > SELECTIONS {
                    return Err(format!("Query exceeds maximum total selections of {SELECTIONS}"));
                }
                match &selection.node {
                    Selection::Field(field) => {
                        self.root_fields += usize::from(depth == 1);
                        let repeated = !names.insert(&field.node.response_key().node);
                        aliases += usize::from(repeated || field.node.alias.is_some());
                        below.push(&field.node.selection_set.node);
                    }
                    Selection::InlineFragment(fragment) => sets.push(&fragment.node.selection_set.node),
                    Selection::FragmentSpread(spread) => {
                        sets.extend(document.fragments.get(&spread.node.fragment_name.node).map(|found| &found.node.selection_set.node));
                    }
                }
            }
        }
        self.aliases = self.aliases.max(aliases);
        below.retain(|set| !set.items.is_empty());
        Ok(below)
    }
}
