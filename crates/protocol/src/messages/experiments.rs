//! Experiments.

use super::{request, response};
use crate::experiment::{Experiment, ExperimentTag, ViewType};
use crate::run::DatasetSummary;

request! {
    /// Makes an experiment.
    CreateExperiment {
        /// Unique.
        name: required,
        /// Where its runs' artifacts go; absent: the server's own place.
        artifact_location: text,
        /// Notes.
        tags: list<ExperimentTag>,
    }
}

response! {
    /// Answers [`CreateExperiment`].
    CreateExperimentResponse {
        /// The new experiment.
        experiment_id: String,
    }
}

request! {
    /// Searches experiments.
    SearchExperiments {
        /// Which of the active and deleted ones.
        view_type: one<ViewType>,
        /// Absent: [`crate::limits::SEARCH_RESULTS_DEFAULT`].
        max_results: integer,
        /// In the grammar of [`crate::search`].
        order_by: texts,
        /// In the grammar of [`crate::search`].
        filter: text,
        /// From the page before.
        page_token: text,
    }
}

response! {
    /// Answers [`SearchExperiments`].
    SearchExperimentsResponse [
        /// In order.
        experiments: Experiment
    ]
}

request! {
    /// Asks for an experiment by id.
    GetExperiment {
        /// The experiment.
        experiment_id: required,
    }
}

request! {
    /// Asks for an experiment by name.
    GetExperimentByName {
        /// The name.
        experiment_name: required,
    }
}

response! {
    /// Answers [`GetExperiment`] and [`GetExperimentByName`].
    GetExperimentResponse {
        /// The experiment.
        experiment: Experiment,
    }
}

request! {
    /// Marks an experiment as deleted.
    DeleteExperiment {
        /// The experiment.
        experiment_id: required,
    }
}

request! {
    /// Undoes [`DeleteExperiment`].
    RestoreExperiment {
        /// The experiment.
        experiment_id: required,
    }
}

request! {
    /// Renames an experiment.
    UpdateExperiment {
        /// The experiment.
        experiment_id: required,
        /// Unique.
        new_name: required,
    }
}

request! {
    /// Sets a tag of an experiment.
    SetExperimentTag {
        /// The experiment.
        experiment_id: required,
        /// The tag.
        key: required,
        /// The text.
        value: value,
    }
}

request! {
    /// Removes a tag of an experiment.
    DeleteExperimentTag {
        /// The experiment.
        experiment_id: required,
        /// The tag.
        key: required,
    }
}

request! {
    /// Asks for the data sets that the runs of some experiments read.
    SearchDatasets {
        /// At least one, at most [`crate::limits::DATASET_SEARCH_EXPERIMENTS`].
        experiment_ids: texts,
    }
}

response! {
    /// Answers [`SearchDatasets`].
    SearchDatasetsResponse (
        /// One per (experiment, name, digest, context).
        dataset_summaries: DatasetSummary
    )
}
