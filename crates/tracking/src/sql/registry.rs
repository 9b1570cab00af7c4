//! The model registry: changing registered models and their versions.

use anmok_protocol::{ApiError, ErrorCode, IS_PROMPT_TAG, ModelStage, ModelVersion, ModelVersionStatus, RegisteredModel, ResourceType};

use super::accounts;
use super::connection::Connection;
use super::failure::{Failure, Fault};
use super::registry_read::{model, version};
use super::write::set_keyed;
use crate::accounts::of_creator;
use crate::registry::{NewModelVersion, NewRegisteredModel};
use crate::store::now_ms;

/// The number of a registered model.
pub(super) fn model_number(connection: &mut dyn Connection, name: &str) -> Result<i64, Failure> {
    let sql = "SELECT registered_model FROM anmok_registered_models WHERE name = ?1";
    let model = connection.first(sql, &[name.into()], |row| row.integer(0))?;
    Ok(model.ok_or_else(|| ApiError::registered_model_not_found(name))?)
}

/// The number of a registered model and that of one of its versions. As MLflow does, an absent model is told as an absent
/// version.
fn version_number(connection: &mut dyn Connection, name: &str, version: i64) -> Result<(i64, i64), Failure> {
    let numbers = connection.first(
        "SELECT m.registered_model, v.model_version
         FROM anmok_model_versions v JOIN anmok_registered_models m ON m.registered_model = v.registered_model
         WHERE m.name = ?1 AND v.version = ?2",
        &[name.into(), version.into()],
        |row| Ok((row.integer(0)?, row.integer(1)?)),
    )?;
    Ok(numbers.ok_or_else(|| ApiError::model_version_not_found(name, version))?)
}

fn model_after(connection: &mut dyn Connection, name: &str) -> Result<RegisteredModel, Failure> {
    model(connection, name)?.ok_or_else(|| ApiError::registered_model_not_found(name).into())
}

fn version_after(connection: &mut dyn Connection, name: &str, number: i64) -> Result<ModelVersion, Failure> {
    version(connection, name, number)?.ok_or_else(|| ApiError::model_version_not_found(name, number).into())
}

pub(super) fn create_model(connection: &mut dyn Connection, new: &NewRegisteredModel) -> Result<RegisteredModel, Failure> {
    let inserted = connection.first(
        "INSERT INTO anmok_registered_models (name, description, creation_time, last_update_time, last_version)
         VALUES (?1, ?2, ?3, ?3, 0) ON CONFLICT DO NOTHING RETURNING registered_model",
        &[(&new.name).into(), new.description.as_ref().filter(|text| !text.is_empty()).into(), now_ms().into()],
        |row| row.integer(0),
    )?;
    let Some(number) = inserted else { return Err(taken(connection, new)?.into()) };
    let tags = new.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str()));
    set_keyed(connection, "anmok_registered_model_tags", "registered_model", number, tags)?;
    accounts::grant_to_creator(connection, new.creator, &of_creator(ResourceType::RegisteredModel, &new.name))?;
    model_after(connection, &new.name)
}

/// Why a name cannot be had.
fn taken(connection: &mut dyn Connection, new: &NewRegisteredModel) -> Result<ApiError, Failure> {
    let kind = |is_prompt: bool| if is_prompt { "Prompt" } else { "Registered Model" };
    let is_prompt = |tags: &[anmok_protocol::RegisteredModelTag]| {
        tags.iter().rev().find(|tag| tag.key == IS_PROMPT_TAG).is_some_and(|tag| tag.value.eq_ignore_ascii_case("true"))
    };
    let name = &new.name;
    let old = kind(model(connection, name)?.is_some_and(|model| is_prompt(&model.tags)));
    let new = kind(is_prompt(&new.tags));
    let message = if old == new {
        format!("{new} (name={name}) already exists.")
    } else {
        format!(
            "Tried to create a {} with name {}, but the name is already taken by a {}. MLflow does not allow creating a model and a prompt \
             with the same name.",
            new.to_lowercase(),
            anmok_protocol::validate::python_string(name),
            old.to_lowercase()
        )
    };
    Ok(ApiError::new(ErrorCode::ResourceAlreadyExists, message))
}

pub(super) fn rename_model(connection: &mut dyn Connection, name: &str, new_name: &str) -> Result<RegisteredModel, Failure> {
    let number = model_number(connection, name)?;
    let now = now_ms();
    let renamed = connection.execute(
        "UPDATE anmok_registered_models SET name = ?2, last_update_time = ?3 WHERE registered_model = ?1",
        &[number.into(), new_name.into(), now.into()],
    );
    match renamed {
        Err(failure) if failure.fault() == Some(Fault::Duplicate) => {
            let message = format!("Registered Model (name={new_name}) already exists.");
            return Err(ApiError::new(ErrorCode::ResourceAlreadyExists, message).into());
        }
        renamed => renamed?,
    };
    connection
        .execute("UPDATE anmok_model_versions SET last_update_time = ?2 WHERE registered_model = ?1", &[number.into(), now.into()])?;
    accounts::move_grants(connection, ResourceType::RegisteredModel, name, Some(new_name))?;
    model_after(connection, new_name)
}

pub(super) fn update_model(connection: &mut dyn Connection, name: &str, description: &str) -> Result<RegisteredModel, Failure> {
    connection.execute(
        "UPDATE anmok_registered_models SET description = ?2, last_update_time = ?3 WHERE name = ?1",
        &[name.into(), Some(description).filter(|text| !text.is_empty()).into(), now_ms().into()],
    )?;
    model_after(connection, name)
}

pub(super) fn delete_model(connection: &mut dyn Connection, name: &str) -> Result<(), Failure> {
    let number = model_number(connection, name)?;
    // The model first: who makes a version meanwhile waits for it, and then finds no model.
    for sql in [
        "DELETE FROM anmok_registered_models WHERE registered_model = ?1",
        "DELETE FROM anmok_registered_model_tags WHERE registered_model = ?1",
        "DELETE FROM anmok_registered_model_aliases WHERE registered_model = ?1",
        "DELETE FROM anmok_model_version_tags
         WHERE model_version IN (SELECT model_version FROM anmok_model_versions WHERE registered_model = ?1)",
        "DELETE FROM anmok_model_versions WHERE registered_model = ?1",
    ] {
        connection.execute(sql, &[number.into()])?;
    }
    accounts::move_grants(connection, ResourceType::RegisteredModel, name, None)
}

pub(super) fn set_model_tag(connection: &mut dyn Connection, name: &str, key: &str, value: &str) -> Result<(), Failure> {
    let number = model_number(connection, name)?;
    set_keyed(connection, "anmok_registered_model_tags", "registered_model", number, [(key, value)].into_iter())
}

pub(super) fn delete_model_tag(connection: &mut dyn Connection, name: &str, key: &str) -> Result<(), Failure> {
    let number = model_number(connection, name)?;
    connection.execute(
        "DELETE FROM anmok_registered_model_tags WHERE registered_model = ?1 AND key = (SELECT key FROM anmok_keys WHERE name = ?2)",
        &[number.into(), key.into()],
    )?;
    Ok(())
}

pub(super) fn set_alias(connection: &mut dyn Connection, name: &str, alias: &str, version: i64) -> Result<(), Failure> {
    let (number, _) = version_number(connection, name, version)?;
    connection.execute(
        "INSERT INTO anmok_registered_model_aliases (registered_model, alias, version) VALUES (?1, ?2, ?3)
         ON CONFLICT (registered_model, alias) DO UPDATE SET version = excluded.version",
        &[number.into(), alias.into(), version.into()],
    )?;
    Ok(())
}

pub(super) fn delete_alias(connection: &mut dyn Connection, name: &str, alias: &str) -> Result<(), Failure> {
    let number = model_number(connection, name)?;
    connection
        .execute("DELETE FROM anmok_registered_model_aliases WHERE registered_model = ?1 AND alias = ?2", &[number.into(), alias.into()])?;
    Ok(())
}

pub(super) fn create_version(connection: &mut dyn Connection, new: &NewModelVersion) -> Result<ModelVersion, Failure> {
    let now = now_ms();
    // Counts up and locks the model's row: two servers never give the same number.
    let model = connection.first(
        "UPDATE anmok_registered_models SET last_version = last_version + 1, last_update_time = ?2 WHERE name = ?1
         RETURNING registered_model, last_version",
        &[(&new.name).into(), now.into()],
        |row| Ok((row.integer(0)?, row.integer(1)?)),
    )?;
    let (model, version) = model.ok_or_else(|| ApiError::registered_model_not_found(&new.name))?;
    let inserted = connection.first(
        "INSERT INTO anmok_model_versions
             (registered_model, version, creation_time, last_update_time, stage, description, source, storage_location, run_id, run_link,
              model_id, status)
         VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) RETURNING model_version",
        &[
            model.into(),
            version.into(),
            now.into(),
            ModelStage::None.name().into(),
            new.description.as_ref().into(),
            (&new.source).into(),
            new.storage_location.as_ref().into(),
            new.run_id.as_ref().into(),
            new.run_link.as_ref().into(),
            new.model_id.as_ref().into(),
            ModelVersionStatus::Ready.name().into(),
        ],
        |row| row.integer(0),
    )?;
    let number = inserted.ok_or_else(|| Failure::other("a new model version has no number"))?;
    let tags = new.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str()));
    set_keyed(connection, "anmok_model_version_tags", "model_version", number, tags)?;
    version_after(connection, &new.name, version)
}

pub(super) fn update_version(
    connection: &mut dyn Connection,
    name: &str,
    version: i64,
    description: Option<&str>,
) -> Result<ModelVersion, Failure> {
    let (_, number) = version_number(connection, name, version)?;
    connection.execute(
        "UPDATE anmok_model_versions SET description = ?2, last_update_time = ?3 WHERE model_version = ?1",
        &[number.into(), description.into(), now_ms().into()],
    )?;
    version_after(connection, name, version)
}

pub(super) fn transition(
    connection: &mut dyn Connection,
    name: &str,
    version: i64,
    stage: ModelStage,
    archive_existing: bool,
) -> Result<ModelVersion, Failure> {
    let (model, number) = version_number(connection, name, version)?;
    let now = now_ms();
    // The model first, so that two transitions of one model take turns.
    touch(connection, model, now)?;
    if archive_existing {
        connection.execute(
            "UPDATE anmok_model_versions SET stage = ?4, last_update_time = ?5
             WHERE registered_model = ?1 AND stage = ?2 AND model_version != ?3",
            &[model.into(), stage.name().into(), number.into(), ModelStage::Archived.name().into(), now.into()],
        )?;
    }
    connection.execute(
        "UPDATE anmok_model_versions SET stage = ?2, last_update_time = ?3 WHERE model_version = ?1",
        &[number.into(), stage.name().into(), now.into()],
    )?;
    version_after(connection, name, version)
}

fn touch(connection: &mut dyn Connection, model: i64, now: i64) -> Result<(), Failure> {
    connection
        .execute("UPDATE anmok_registered_models SET last_update_time = ?2 WHERE registered_model = ?1", &[model.into(), now.into()])?;
    Ok(())
}

pub(super) fn delete_version(connection: &mut dyn Connection, name: &str, version: i64) -> Result<(), Failure> {
    let (model, number) = version_number(connection, name, version)?;
    touch(connection, model, now_ms())?;
    connection.execute(
        "DELETE FROM anmok_registered_model_aliases WHERE registered_model = ?1 AND version = ?2",
        &[model.into(), version.into()],
    )?;
    connection.execute("DELETE FROM anmok_model_version_tags WHERE model_version = ?1", &[number.into()])?;
    connection.execute("DELETE FROM anmok_model_versions WHERE model_version = ?1", &[number.into()])?;
    Ok(())
}

pub(super) fn set_version_tag(connection: &mut dyn Connection, name: &str, version: i64, key: &str, value: &str) -> Result<(), Failure> {
    let (_, number) = version_number(connection, name, version)?;
    set_keyed(connection, "anmok_model_version_tags", "model_version", number, [(key, value)].into_iter())
}

pub(super) fn delete_version_tag(connection: &mut dyn Connection, name: &str, version: i64, key: &str) -> Result<(), Failure> {
    let (_, number) = version_number(connection, name, version)?;
    connection.execute(
        "DELETE FROM anmok_model_version_tags WHERE model_version = ?1 AND key = (SELECT key FROM anmok_keys WHERE name = ?2)",
        &[number.into(), key.into()],
    )?;
    Ok(())
}
