//! Versions of registered models. A version is a number as text ([`crate::validate::model_version`]).

use super::{request, response};
use crate::registry::{ModelVersion, ModelVersionTag};

request! {
    /// Makes the next version of a registered model.
    CreateModelVersion {
        /// The registered model.
        name: required,
        /// The URI that it is made from.
        source: required,
        /// The run that made the model; empty is not absent where `source` names another version.
        run_id: verbatim,
        /// Notes.
        tags: list<ModelVersionTag>,
        /// Where the run can be looked at.
        run_link: value,
        /// What is special about it.
        description: value,
        /// The logged model that it is made from; empty is not absent where `source` names another version.
        model_id: verbatim,
    }
}

response! {
    /// Answers [`CreateModelVersion`], [`UpdateModelVersion`], [`TransitionModelVersionStage`], [`GetModelVersion`] and
    /// [`super::registered_models::GetModelVersionByAlias`].
    ModelVersionResponse {
        /// The version.
        model_version: ModelVersion,
    }
}

request! {
    /// Describes a version.
    UpdateModelVersion {
        /// The registered model.
        name: required,
        /// The version.
        version: required,
        /// What is special about it; absent removes it.
        description: verbatim,
    }
}

request! {
    /// Moves a version to a stage.
    TransitionModelVersionStage {
        /// The registered model.
        name: required,
        /// The version.
        version: required,
        /// One of [`crate::ModelStage`].
        stage: required,
        /// Whether the versions that are there are archived.
        archive_existing_versions: boolean,
    }
}

request! {
    /// Deletes a version.
    DeleteModelVersion {
        /// The registered model.
        name: required,
        /// The version.
        version: required,
    }
}

request! {
    /// Asks for a version.
    GetModelVersion {
        /// The registered model.
        name: required,
        /// The version.
        version: required,
    }
}

request! {
    /// Searches versions.
    SearchModelVersions {
        /// In the grammar of [`crate::search`].
        filter: text,
        /// Absent: [`crate::limits::MODEL_VERSION_RESULTS_MAX`], as the proto has it.
        max_results: integer,
        /// In the grammar of [`crate::search`].
        order_by: texts,
        /// From the page before.
        page_token: text,
    }
}

response! {
    /// Answers [`SearchModelVersions`].
    SearchModelVersionsResponse [
        /// In order.
        model_versions: ModelVersion
    ]
}

request! {
    /// Asks where the files of a version lie.
    GetModelVersionDownloadUri {
        /// The registered model.
        name: required,
        /// The version.
        version: required,
    }
}

response! {
    /// Answers [`GetModelVersionDownloadUri`].
    GetModelVersionDownloadUriResponse {
        /// The place.
        artifact_uri: String,
    }
}

request! {
    /// Sets a tag of a version.
    SetModelVersionTag {
        /// The registered model.
        name: required,
        /// The version.
        version: required,
        /// The tag.
        key: required,
        /// The text.
        value: value,
    }
}

request! {
    /// Removes a tag of a version.
    DeleteModelVersionTag {
        /// The registered model.
        name: required,
        /// The version.
        version: required,
        /// The tag.
        key: required,
    }
}
