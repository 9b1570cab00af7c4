//! Registered models, their tags and aliases.

use super::{request, response};
use crate::registry::{ModelVersion, RegisteredModel, RegisteredModelTag};

request! {
    /// Makes a registered model.
    CreateRegisteredModel {
        /// Unique.
        name: required,
        /// Notes.
        tags: list<RegisteredModelTag>,
        /// What it is for.
        description: text,
    }
}

response! {
    /// Answers [`CreateRegisteredModel`], [`RenameRegisteredModel`], [`UpdateRegisteredModel`] and [`GetRegisteredModel`].
    RegisteredModelResponse {
        /// The model.
        registered_model: RegisteredModel,
    }
}

request! {
    /// Gives a registered model another name.
    RenameRegisteredModel {
        /// The model.
        name: required,
        /// Unique.
        new_name: required,
    }
}

request! {
    /// Describes a registered model.
    UpdateRegisteredModel {
        /// The model.
        name: required,
        /// What it is for; absent is empty, as MLflow has it.
        description: value,
    }
}

request! {
    /// Deletes a registered model for good.
    DeleteRegisteredModel {
        /// The model.
        name: required,
    }
}

request! {
    /// Asks for a registered model.
    GetRegisteredModel {
        /// The model.
        name: required,
    }
}

request! {
    /// Searches registered models.
    SearchRegisteredModels {
        /// In the grammar of [`crate::search`].
        filter: text,
        /// Absent: [`crate::limits::REGISTERED_MODEL_RESULTS_DEFAULT`].
        max_results: integer,
        /// In the grammar of [`crate::search`].
        order_by: texts,
        /// From the page before.
        page_token: text,
    }
}

response! {
    /// Answers [`SearchRegisteredModels`].
    SearchRegisteredModelsResponse [
        /// In order.
        registered_models: RegisteredModel
    ]
}

request! {
    /// Asks for the latest version of each stage.
    GetLatestVersions {
        /// The model.
        name: required,
        /// Absent: every stage.
        stages: texts,
    }
}

response! {
    /// Answers [`GetLatestVersions`].
    GetLatestVersionsResponse (
        /// One per stage.
        model_versions: ModelVersion
    )
}

request! {
    /// Sets a tag of a registered model.
    SetRegisteredModelTag {
        /// The model.
        name: required,
        /// The tag.
        key: required,
        /// The text.
        value: value,
    }
}

request! {
    /// Removes a tag of a registered model.
    DeleteRegisteredModelTag {
        /// The model.
        name: required,
        /// The tag.
        key: required,
    }
}

request! {
    /// Lets an alias stand for a version.
    SetRegisteredModelAlias {
        /// The model.
        name: required,
        /// The alias.
        alias: required,
        /// A number as text ([`crate::validate::model_version`]).
        version: required,
    }
}

request! {
    /// Removes an alias.
    DeleteRegisteredModelAlias {
        /// The model.
        name: required,
        /// The alias.
        alias: required,
    }
}

request! {
    /// Asks for the version that an alias stands for.
    GetModelVersionByAlias {
        /// The model.
        name: required,
        /// The alias.
        alias: required,
    }
}
