//! The model registry's trait, and what is asked of it.

use anmok_protocol::{
    ModelStage, ModelVersion, ModelVersionFilter, ModelVersionOrder, ModelVersionTag, RegisteredModel, RegisteredModelFilter,
    RegisteredModelOrder, RegisteredModelTag, Visible, limits,
};

use crate::error::TrackingError;
use crate::store::Page;

/// A place where models have names and versions, with MLflow's rules.
///
/// All methods block until the store has answered. Absence is `None` where something is looked up, and the error
/// `RESOURCE_DOES_NOT_EXIST` where something is to be changed. A change of a model or of its versions moves
/// `last_updated_timestamp` of what was changed.
pub trait ModelRegistry: Send + Sync {
    /// Makes a registered model. Names are unique.
    fn create_registered_model(&self, new: &NewRegisteredModel) -> Result<RegisteredModel, TrackingError>;

    /// A registered model by name, with tags, aliases and the latest version of each stage.
    fn registered_model(&self, name: &str) -> Result<Option<RegisteredModel>, TrackingError>;

    /// Gives a registered model another name; its versions, tags and aliases go with it.
    fn rename_registered_model(&self, name: &str, new_name: &str) -> Result<RegisteredModel, TrackingError>;

    /// Sets the description of a registered model; an empty one removes it.
    fn update_registered_model(&self, name: &str, description: &str) -> Result<RegisteredModel, TrackingError>;

    /// Deletes a registered model with everything in it, for good.
    fn delete_registered_model(&self, name: &str) -> Result<(), TrackingError>;

    /// Registered models that pass a filter.
    fn search_registered_models(&self, query: &RegisteredModelQuery) -> Result<Page<RegisteredModel>, TrackingError>;

    /// The highest version of each of these stages that has one; of every stage if `stages` is empty.
    fn latest_versions(&self, name: &str, stages: &[ModelStage]) -> Result<Vec<ModelVersion>, TrackingError>;

    /// Sets one tag of a registered model.
    fn set_registered_model_tag(&self, name: &str, tag: &RegisteredModelTag) -> Result<(), TrackingError>;

    /// Removes a tag of a registered model, if it has it.
    fn delete_registered_model_tag(&self, name: &str, key: &str) -> Result<(), TrackingError>;

    /// Lets an alias stand for a version, whatever it stood for before.
    fn set_registered_model_alias(&self, name: &str, alias: &str, version: i64) -> Result<(), TrackingError>;

    /// Removes an alias, if the model has it.
    fn delete_registered_model_alias(&self, name: &str, alias: &str) -> Result<(), TrackingError>;

    /// The version that an alias stands for; `latest`, in any case, is the highest version. `None` if the model or the
    /// alias is absent: [`Self::registered_model`] tells the two apart.
    fn model_version_by_alias(&self, name: &str, alias: &str) -> Result<Option<ModelVersion>, TrackingError>;

    /// Makes the next version of a registered model. Numbers of deleted versions are not given again.
    fn create_model_version(&self, new: &NewModelVersion) -> Result<ModelVersion, TrackingError>;

    /// One version, with its tags and the aliases that stand for it.
    fn model_version(&self, name: &str, version: i64) -> Result<Option<ModelVersion>, TrackingError>;

    /// Sets the description of a version; `None` removes it.
    fn update_model_version(&self, name: &str, version: i64, description: Option<&str>) -> Result<ModelVersion, TrackingError>;

    /// Moves a version to a stage; with `archive_existing_versions`, which only an active stage allows
    /// ([`ModelStage::is_active`]), the others that are there are archived.
    fn transition_model_version_stage(
        &self,
        name: &str,
        version: i64,
        stage: ModelStage,
        archive_existing_versions: bool,
    ) -> Result<ModelVersion, TrackingError>;

    /// Deletes a version, with its tags and the aliases that stand for it.
    fn delete_model_version(&self, name: &str, version: i64) -> Result<(), TrackingError>;

    /// Versions that pass a filter.
    fn search_model_versions(&self, query: &ModelVersionQuery) -> Result<Page<ModelVersion>, TrackingError>;

    /// Where the files of a version lie ([`NewModelVersion::storage_location`]).
    fn model_version_download_uri(&self, name: &str, version: i64) -> Result<Option<String>, TrackingError>;

    /// Sets one tag of a version.
    fn set_model_version_tag(&self, name: &str, version: i64, tag: &ModelVersionTag) -> Result<(), TrackingError>;

    /// Removes a tag of a version, if it has it.
    fn delete_model_version_tag(&self, name: &str, version: i64, key: &str) -> Result<(), TrackingError>;
}

/// A registered model to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewRegisteredModel {
    /// Unique.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Notes; of a key that comes twice the last value stays.
    pub tags: Vec<RegisteredModelTag>,
    /// The user who makes it, who may then manage it.
    pub creator: Option<i64>,
}

/// A model version to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewModelVersion {
    /// A registered model that is there.
    pub name: String,
    /// The URI that it is made from, as it will be shown.
    pub source: String,
    /// Where its files lie, if `source` names another model (`models:/...`); `None` is `source` itself.
    pub storage_location: Option<String>,
    /// The run that made the model.
    pub run_id: Option<String>,
    /// Where the run can be looked at, if on another server.
    pub run_link: Option<String>,
    /// What is special about it.
    pub description: Option<String>,
    /// The logged model that it is made from.
    pub model_id: Option<String>,
    /// Notes; of a key that comes twice the last value stays.
    pub tags: Vec<ModelVersionTag>,
}

/// A search for registered models. Prompts are left out unless the filter asks for them
/// ([`RegisteredModelFilter::take_prompt_clauses`]).
#[derive(Debug, Clone, PartialEq)]
pub struct RegisteredModelQuery {
    /// All clauses must hold.
    pub filter: RegisteredModelFilter,
    /// Then by name.
    pub order_by: Vec<RegisteredModelOrder>,
    /// 1 to [`limits::REGISTERED_MODEL_RESULTS_MAX`].
    pub max_results: usize,
    /// From the page before, with everything else the same.
    pub page_token: Option<String>,
    /// Which registered models the searcher may see.
    pub visible: Visible,
}

impl Default for RegisteredModelQuery {
    /// All of them.
    fn default() -> Self {
        Self {
            filter: RegisteredModelFilter::default(),
            order_by: vec![],
            max_results: limits::REGISTERED_MODEL_RESULTS_DEFAULT,
            page_token: None,
            visible: Visible::Everything,
        }
    }
}

/// A search for model versions. Versions of prompts are left out unless the filter asks for them
/// ([`ModelVersionFilter::take_prompt_clauses`]).
#[derive(Debug, Clone, PartialEq)]
pub struct ModelVersionQuery {
    /// All clauses must hold.
    pub filter: ModelVersionFilter,
    /// Then by name, then by version, highest first.
    pub order_by: Vec<ModelVersionOrder>,
    /// 1 to [`limits::MODEL_VERSION_RESULTS_MAX`].
    pub max_results: usize,
    /// From the page before, with everything else the same.
    pub page_token: Option<String>,
    /// Which registered models the searcher may see.
    pub visible: Visible,
}

impl Default for ModelVersionQuery {
    /// All of them.
    fn default() -> Self {
        Self {
            filter: ModelVersionFilter::default(),
            order_by: vec![],
            max_results: limits::MODEL_VERSION_RESULTS_DEFAULT,
            page_token: None,
            visible: Visible::Everything,
        }
    }
}
