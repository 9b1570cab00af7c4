//! The [`ModelRegistry`] of any SQL database.

use anmok_protocol::{ApiError, ModelStage, ModelVersion, ModelVersionTag, RegisteredModel, RegisteredModelTag, limits, validate};

use super::store::{Database, SqlStore};
use super::{registry, registry_read};
use crate::error::TrackingError;
use crate::registry::{ModelRegistry, ModelVersionQuery, NewModelVersion, NewRegisteredModel, RegisteredModelQuery};
use crate::store::Page;

impl<D: Database> ModelRegistry for SqlStore<D> {
    fn create_registered_model(&self, new: &NewRegisteredModel) -> Result<RegisteredModel, TrackingError> {
        validate::model_name(&new.name)?;
        new.tags.iter().try_for_each(|tag| validate::registered_model_tag(&tag.key, &tag.value))?;
        let new = new.clone();
        self.database.write("making a registered model", move |connection| registry::create_model(connection, &new))
    }

    fn registered_model(&self, name: &str) -> Result<Option<RegisteredModel>, TrackingError> {
        validate::model_name(name)?;
        self.database.read("reading a registered model", |connection| registry_read::model(connection, name))
    }

    fn rename_registered_model(&self, name: &str, new_name: &str) -> Result<RegisteredModel, TrackingError> {
        validate::model_rename(new_name)?;
        validate::model_name(name)?;
        let (name, new_name) = (name.to_string(), new_name.to_string());
        self.database.write("renaming a registered model", move |connection| registry::rename_model(connection, &name, &new_name))
    }

    fn update_registered_model(&self, name: &str, description: &str) -> Result<RegisteredModel, TrackingError> {
        validate::model_name(name)?;
        let (name, description) = (name.to_string(), description.to_string());
        self.database.write("updating a registered model", move |connection| registry::update_model(connection, &name, &description))
    }

    fn delete_registered_model(&self, name: &str) -> Result<(), TrackingError> {
        validate::model_name(name)?;
        let name = name.to_string();
        self.database.write("deleting a registered model", move |connection| registry::delete_model(connection, &name))
    }

    fn search_registered_models(&self, query: &RegisteredModelQuery) -> Result<Page<RegisteredModel>, TrackingError> {
        max_results(query.max_results, limits::REGISTERED_MODEL_RESULTS_MAX)?;
        self.database.read("searching registered models", |connection| registry_read::search_models(connection, query))
    }

    fn latest_versions(&self, name: &str, stages: &[ModelStage]) -> Result<Vec<ModelVersion>, TrackingError> {
        validate::model_name(name)?;
        self.database.read("reading the latest model versions", |connection| registry_read::latest_versions(connection, name, stages))
    }

    fn set_registered_model_tag(&self, name: &str, tag: &RegisteredModelTag) -> Result<(), TrackingError> {
        validate::model_name(name)?;
        validate::registered_model_tag(&tag.key, &tag.value)?;
        let (name, tag) = (name.to_string(), tag.clone());
        self.database
            .write("setting a registered model's tag", move |connection| registry::set_model_tag(connection, &name, &tag.key, &tag.value))
    }

    fn delete_registered_model_tag(&self, name: &str, key: &str) -> Result<(), TrackingError> {
        validate::model_name(name)?;
        let (name, key) = (name.to_string(), key.to_string());
        self.database.write("deleting a registered model's tag", move |connection| registry::delete_model_tag(connection, &name, &key))
    }

    fn set_registered_model_alias(&self, name: &str, alias: &str, version: i64) -> Result<(), TrackingError> {
        validate::model_name(name)?;
        validate::new_model_alias(alias)?;
        let (name, alias) = (name.to_string(), alias.to_string());
        self.database.write("setting an alias", move |connection| registry::set_alias(connection, &name, &alias, version))
    }

    fn delete_registered_model_alias(&self, name: &str, alias: &str) -> Result<(), TrackingError> {
        validate::model_name(name)?;
        validate::model_alias(alias)?;
        let (name, alias) = (name.to_string(), alias.to_string());
        self.database.write("deleting an alias", move |connection| registry::delete_alias(connection, &name, &alias))
    }

    fn model_version_by_alias(&self, name: &str, alias: &str) -> Result<Option<ModelVersion>, TrackingError> {
        validate::model_name(name)?;
        validate::model_alias(alias)?;
        self.database.read("reading a model version", |connection| registry_read::version_by_alias(connection, name, alias))
    }

    fn create_model_version(&self, new: &NewModelVersion) -> Result<ModelVersion, TrackingError> {
        validate::model_name(&new.name)?;
        new.tags.iter().try_for_each(|tag| validate::model_version_tag(&tag.key, &tag.value))?;
        let new = new.clone();
        self.database.write("making a model version", move |connection| registry::create_version(connection, &new))
    }

    fn model_version(&self, name: &str, version: i64) -> Result<Option<ModelVersion>, TrackingError> {
        validate::model_name(name)?;
        self.database.read("reading a model version", |connection| registry_read::version(connection, name, version))
    }

    fn update_model_version(&self, name: &str, version: i64, description: Option<&str>) -> Result<ModelVersion, TrackingError> {
        validate::model_name(name)?;
        let (name, description) = (name.to_string(), description.map(ToString::to_string));
        self.database.write("updating a model version", move |connection| {
            registry::update_version(connection, &name, version, description.as_deref())
        })
    }

    fn transition_model_version_stage(
        &self,
        name: &str,
        version: i64,
        stage: ModelStage,
        archive_existing_versions: bool,
    ) -> Result<ModelVersion, TrackingError> {
        if archive_existing_versions && !stage.is_active() {
            return Err(ApiError::invalid(format!(
                "Model version transition cannot archive existing model versions because '{stage}' is not an Active stage. Valid stages are \
                 ['Staging', 'Production']"
            ))
            .into());
        }
        validate::model_name(name)?;
        let name = name.to_string();
        self.database.write("moving a model version to a stage", move |connection| {
            registry::transition(connection, &name, version, stage, archive_existing_versions)
        })
    }

    fn delete_model_version(&self, name: &str, version: i64) -> Result<(), TrackingError> {
        validate::model_name(name)?;
        let name = name.to_string();
        self.database.write("deleting a model version", move |connection| registry::delete_version(connection, &name, version))
    }

    fn search_model_versions(&self, query: &ModelVersionQuery) -> Result<Page<ModelVersion>, TrackingError> {
        max_results(query.max_results, limits::MODEL_VERSION_RESULTS_MAX)?;
        self.database.read("searching model versions", |connection| registry_read::search_versions(connection, query))
    }

    fn model_version_download_uri(&self, name: &str, version: i64) -> Result<Option<String>, TrackingError> {
        validate::model_name(name)?;
        self.database.read("reading a model version", |connection| registry_read::download_uri(connection, name, version))
    }

    fn set_model_version_tag(&self, name: &str, version: i64, tag: &ModelVersionTag) -> Result<(), TrackingError> {
        validate::model_name(name)?;
        validate::model_version_tag(&tag.key, &tag.value)?;
        let (name, tag) = (name.to_string(), tag.clone());
        self.database.write("setting a model version's tag", move |connection| {
            registry::set_version_tag(connection, &name, version, &tag.key, &tag.value)
        })
    }

    fn delete_model_version_tag(&self, name: &str, version: i64, key: &str) -> Result<(), TrackingError> {
        validate::model_name(name)?;
        let (name, key) = (name.to_string(), key.to_string());
        self.database
            .write("deleting a model version's tag", move |connection| registry::delete_version_tag(connection, &name, version, &key))
    }
}

/// MLflow's words for a page that is too small or too large, in the registry.
fn max_results(found: usize, most: usize) -> Result<(), TrackingError> {
    if found == 0 {
        return Err(ApiError::invalid("Invalid value for max_results. It must be a positive integer, but got 0").into());
    }
    if found > most {
        let message = format!("Invalid value for request parameter max_results. It must be at most {most}, but got value {found}");
        return Err(ApiError::invalid(message).into());
    }
    Ok(())
}
