//! The model registry: reading and searching registered models and their versions.

use std::collections::HashMap;

use anmok_protocol::search::{
    ModelVersionClause, ModelVersionOrderField, ModelVersionText, RegisteredModelClause, RegisteredModelOrderField, TextTest,
};
use anmok_protocol::{
    ApiError, IS_PROMPT_TAG, ModelStage, ModelVersion, ModelVersionTag, RegisteredModel, RegisteredModelAlias, RegisteredModelTag,
};

use super::connection::{Connection, Row, Value};
use super::failure::Failure;
use super::read::parsed;
use super::registry::model_number;
use super::select::{SortKey, Sql, sort_keys};
use crate::registry::{ModelVersionQuery, RegisteredModelQuery};
use crate::store::Page;

const MODEL_COLUMNS: &str = "m.registered_model, m.name, m.creation_time, m.last_update_time, m.description";

fn model_row(row: &dyn Row) -> Result<(i64, RegisteredModel), Failure> {
    let model = RegisteredModel {
        name: row.string(1)?,
        creation_timestamp: row.integer(2)?,
        last_updated_timestamp: row.integer(3)?,
        user_id: None,
        description: row.optional_string(4)?,
        latest_versions: vec![],
        tags: vec![],
        aliases: vec![],
    };
    Ok((row.integer(0)?, model))
}

const VERSION_COLUMNS: &str = "n.model_version, n.registered_model, m.name, n.version, n.creation_time, n.last_update_time, n.stage, \
                               n.description, n.source, n.run_id, n.status, n.run_link, n.model_id";
/// Not called `v`, which is the table of tags in [`Sql::keyed`].
const VERSIONS: &str = "anmok_model_versions n JOIN anmok_registered_models m ON m.registered_model = n.registered_model";

/// A version's number, its model's number, and itself (tags are filled in by [`with_tags`], aliases by [`with_aliases`]).
fn version_row(row: &dyn Row) -> Result<(i64, i64, ModelVersion), Failure> {
    let version = ModelVersion {
        name: row.string(2)?,
        version: row.integer(3)?,
        creation_timestamp: row.integer(4)?,
        last_updated_timestamp: row.integer(5)?,
        user_id: None,
        current_stage: parsed(row, 6)?,
        description: row.optional_string(7)?,
        source: row.string(8)?,
        run_id: row.optional_string(9)?,
        status: parsed(row, 10)?,
        status_message: None,
        tags: vec![],
        run_link: row.optional_string(11)?,
        aliases: vec![],
        model_id: row.optional_string(12)?,
    };
    Ok((row.integer(0)?, row.integer(1)?, version))
}

/// Versions as they were found: number, model's number, itself.
type FoundVersions = Vec<(i64, i64, ModelVersion)>;

/// Adds to each version what a statement, whose first column is the version's number, finds for it.
fn add_to_each(
    connection: &mut dyn Connection,
    found: &mut FoundVersions,
    sql: &str,
    add: impl Fn(&mut ModelVersion, &dyn Row) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let numbers: Vec<i64> = found.iter().map(|(number, ..)| *number).collect();
    let places: HashMap<i64, usize> = numbers.iter().enumerate().map(|(place, number)| (*number, place)).collect();
    connection.query(sql, &[numbers.into()], &mut |row| match places.get(&row.integer(0)?) {
        Some(place) => add(&mut found[*place].2, row),
        None => Ok(()),
    })
}

/// Versions with their tags, in the order given.
fn with_tags(connection: &mut dyn Connection, mut found: FoundVersions) -> Result<FoundVersions, Failure> {
    add_to_each(
        connection,
        &mut found,
        "SELECT t.model_version, k.name, t.value FROM anmok_model_version_tags t JOIN anmok_keys k USING (key)
         WHERE t.model_version IN (SELECT value FROM json_each(?1)) ORDER BY t.model_version, k.name",
        |version, row| {
            version.tags.push(ModelVersionTag { key: row.string(1)?, value: row.string(2)? });
            Ok(())
        },
    )?;
    Ok(found)
}

/// Versions with the aliases that stand for them. MLflow tells these of versions that are asked for, and not of those in the
/// lists of searches and of registered models.
fn with_aliases(connection: &mut dyn Connection, mut found: FoundVersions) -> Result<FoundVersions, Failure> {
    add_to_each(
        connection,
        &mut found,
        "SELECT v.model_version, a.alias FROM anmok_model_versions v
         JOIN anmok_registered_model_aliases a ON a.registered_model = v.registered_model AND a.version = v.version
         WHERE v.model_version IN (SELECT value FROM json_each(?1)) ORDER BY v.model_version, a.alias",
        |version, row| {
            version.aliases.push(row.string(1)?);
            Ok(())
        },
    )?;
    Ok(found)
}

/// Models with their tags, aliases and latest versions, in the order given.
fn models_filled(connection: &mut dyn Connection, found: Vec<(i64, RegisteredModel)>) -> Result<Vec<RegisteredModel>, Failure> {
    let numbers: Vec<i64> = found.iter().map(|(number, _)| *number).collect();
    let places: HashMap<i64, usize> = numbers.iter().enumerate().map(|(place, number)| (*number, place)).collect();
    let mut models: Vec<RegisteredModel> = found.into_iter().map(|(_, model)| model).collect();
    let mut each =
        |connection: &mut dyn Connection, sql: &str, add: &mut dyn FnMut(&mut RegisteredModel, &dyn Row) -> Result<(), Failure>| {
            connection.query(sql, &[numbers.as_slice().into()], &mut |row| match places.get(&row.integer(0)?) {
                Some(place) => add(&mut models[*place], row),
                None => Ok(()),
            })
        };
    each(
        connection,
        "SELECT t.registered_model, k.name, t.value FROM anmok_registered_model_tags t JOIN anmok_keys k USING (key)
         WHERE t.registered_model IN (SELECT value FROM json_each(?1)) ORDER BY t.registered_model, k.name",
        &mut |model, row| {
            model.tags.push(RegisteredModelTag { key: row.string(1)?, value: row.string(2)? });
            Ok(())
        },
    )?;
    each(
        connection,
        "SELECT a.registered_model, a.alias, a.version FROM anmok_registered_model_aliases a
         WHERE a.registered_model IN (SELECT value FROM json_each(?1)) ORDER BY a.registered_model, a.alias",
        &mut |model, row| {
            model.aliases.push(RegisteredModelAlias { alias: row.string(1)?, version: row.integer(2)? });
            Ok(())
        },
    )?;
    for (_, model, version) in latest(connection, &numbers)? {
        if let Some(place) = places.get(&model) {
            models[*place].latest_versions.push(version);
        }
    }
    Ok(models)
}

/// The highest version of each stage of some models; stages in their order.
fn latest(connection: &mut dyn Connection, models: &[i64]) -> Result<FoundVersions, Failure> {
    let sql = format!(
        "SELECT {VERSION_COLUMNS} FROM {VERSIONS} WHERE n.registered_model IN (SELECT value FROM json_each(?1)) AND n.version =
             (SELECT max(w.version) FROM anmok_model_versions w WHERE w.registered_model = n.registered_model AND w.stage = n.stage)"
    );
    let mut found = connection.all(&sql, &[models.into()], version_row)?;
    found.sort_by_key(|(_, model, version)| (*model, ModelStage::ALL.iter().position(|stage| *stage == version.current_stage)));
    with_tags(connection, found)
}

pub(super) fn model(connection: &mut dyn Connection, name: &str) -> Result<Option<RegisteredModel>, Failure> {
    let sql = format!("SELECT {MODEL_COLUMNS} FROM anmok_registered_models m WHERE m.name = ?1");
    match connection.first(&sql, &[name.into()], model_row)? {
        Some(found) => Ok(models_filled(connection, vec![found])?.pop()),
        None => Ok(None),
    }
}

pub(super) fn latest_versions(connection: &mut dyn Connection, name: &str, stages: &[ModelStage]) -> Result<Vec<ModelVersion>, Failure> {
    let model = model_number(connection, name)?;
    let found = latest(connection, &[model])?;
    let versions = with_aliases(connection, found)?.into_iter().map(|(.., version)| version);
    Ok(versions.filter(|version| stages.is_empty() || stages.contains(&version.current_stage)).collect())
}

fn one_version(connection: &mut dyn Connection, condition: &str, parameters: &[Value]) -> Result<Option<ModelVersion>, Failure> {
    let sql = format!("SELECT {VERSION_COLUMNS} FROM {VERSIONS} WHERE {condition}");
    match connection.first(&sql, parameters, version_row)? {
        Some(found) => {
            let found = with_tags(connection, vec![found])?;
            Ok(with_aliases(connection, found)?.pop().map(|(.., version)| version))
        }
        None => Ok(None),
    }
}

pub(super) fn version(connection: &mut dyn Connection, name: &str, version: i64) -> Result<Option<ModelVersion>, Failure> {
    one_version(connection, "m.name = ?1 AND n.version = ?2", &[name.into(), version.into()])
}

pub(super) fn version_by_alias(connection: &mut dyn Connection, name: &str, alias: &str) -> Result<Option<ModelVersion>, Failure> {
    if alias.eq_ignore_ascii_case("latest") {
        return one_version(connection, "m.name = ?1 ORDER BY n.version DESC LIMIT 1", &[name.into()]);
    }
    let condition = "m.name = ?1 AND n.version = (SELECT a.version FROM anmok_registered_model_aliases a
                     WHERE a.registered_model = m.registered_model AND a.alias = ?2)";
    one_version(connection, condition, &[name.into(), alias.into()])
}

pub(super) fn download_uri(connection: &mut dyn Connection, name: &str, version: i64) -> Result<Option<String>, Failure> {
    let sql = format!("SELECT COALESCE(n.storage_location, n.source) FROM {VERSIONS} WHERE m.name = ?1 AND n.version = ?2");
    connection.first(&sql, &[name.into(), version.into()], |row| row.string(0))
}

/// Lets through prompts alone, or what is none.
fn require_prompts(sql: &mut Sql, table: &str, owner: &str, prompts: bool) -> Result<(), ApiError> {
    let is_prompt = sql.keyed(table, owner, IS_PROMPT_TAG, &TextTest::ILike("true".into()))?;
    sql.require(if prompts { is_prompt } else { format!("NOT {is_prompt}") });
    Ok(())
}

pub(super) fn search_models(connection: &mut dyn Connection, query: &RegisteredModelQuery) -> Result<Page<RegisteredModel>, Failure> {
    let mut sql = Sql::new(connection.dialect());
    sql.require_visible("m.name", &query.visible);
    let (table, owner) = ("anmok_registered_model_tags", "v.registered_model = m.registered_model");
    let mut filter = query.filter.clone();
    let prompts = filter.take_prompt_clauses();
    require_prompts(&mut sql, table, owner, prompts)?;
    for clause in &filter.clauses {
        let condition = match clause {
            RegisteredModelClause::Name(test) => sql.test("m.name", test)?,
            RegisteredModelClause::Tag { key, test } => sql.keyed(table, owner, key, test)?,
        };
        sql.require(condition);
    }
    let mut sort = sort_keys(&query.order_by, |field| match field {
        RegisteredModelOrderField::Name => "m.name",
        RegisteredModelOrderField::LastUpdatedTimestamp => "m.last_update_time",
    });
    if !query.order_by.iter().any(|term| term.field == RegisteredModelOrderField::Name) {
        sort.push(SortKey::new("m.name", false));
    }
    sql.require_after(&sort, query.page_token.as_deref())?;
    let (found, next_page_token) = sql.page(connection, MODEL_COLUMNS, "anmok_registered_models m", &sort, query.max_results, model_row)?;
    Ok(Page { items: models_filled(connection, found)?, next_page_token })
}

pub(super) fn search_versions(connection: &mut dyn Connection, query: &ModelVersionQuery) -> Result<Page<ModelVersion>, Failure> {
    let mut sql = Sql::new(connection.dialect());
    sql.require_visible("m.name", &query.visible);
    let (table, owner) = ("anmok_model_version_tags", "v.model_version = n.model_version");
    let mut filter = query.filter.clone();
    let prompts = filter.take_prompt_clauses();
    require_prompts(&mut sql, table, owner, prompts)?;
    for clause in &filter.clauses {
        let condition = match clause {
            ModelVersionClause::Text { field, test } => {
                let expression = match field {
                    ModelVersionText::Name => "m.name",
                    ModelVersionText::RunId => "n.run_id",
                    ModelVersionText::Source => "n.source",
                };
                sql.test(expression, test)?
            }
            ModelVersionClause::Version { comparison, value } => {
                format!("n.version {} {}", comparison.symbol(), sql.bind(*value))
            }
            ModelVersionClause::Tag { key, test } => sql.keyed(table, owner, key, test)?,
        };
        sql.require(condition);
    }
    let mut sort = sort_keys(&query.order_by, |field| match field {
        ModelVersionOrderField::Name => "m.name",
        ModelVersionOrderField::Version => "n.version",
        ModelVersionOrderField::CreationTimestamp => "n.creation_time",
        ModelVersionOrderField::LastUpdatedTimestamp => "n.last_update_time",
    });
    if sort.is_empty() {
        sort.push(SortKey::new("n.last_update_time", true));
    }
    let ordered_by = |field| query.order_by.iter().any(|term| term.field == field);
    if !ordered_by(ModelVersionOrderField::Name) {
        sort.push(SortKey::new("m.name", false));
    }
    if !ordered_by(ModelVersionOrderField::Version) {
        sort.push(SortKey::new("n.version", true));
    }
    sql.require_after(&sort, query.page_token.as_deref())?;
    let (found, next_page_token) = sql.page(connection, VERSION_COLUMNS, VERSIONS, &sort, query.max_results, version_row)?;
    let items = with_tags(connection, found)?.into_iter().map(|(.., version)| version).collect();
    Ok(Page { items, next_page_token })
}
