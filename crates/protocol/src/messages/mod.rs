//! The requests and answers of the REST endpoints, under the protos' names.
//!
//! A request is read from JSON ([`from_json`]) or from a query string ([`from_query`]), as leniently as MLflow's server reads
//! it: unknown fields are ignored, null is unset, integers and doubles may be text. What is wrong is said in MLflow's words.
//! A client writes it as JSON, or with [`to_query`]; what is unset or empty is left out, as in proto3 JSON.
//! A parameter that stands in the path of a route (`{model_id}`) is in no message.

pub mod artifacts;
pub mod experiments;
pub mod graphql;
pub mod logged_models;
pub mod metrics;
pub mod model_versions;
mod parameter;
mod read;
pub mod registered_models;
pub mod runs;
pub mod webhooks;
mod write;

pub use parameter::{Kind, Parameter};
pub use read::{from_json, from_query};
pub use write::to_query;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The parameters of one endpoint.
pub trait Request: DeserializeOwned {
    /// In the order in which MLflow checks them.
    const PARAMETERS: &'static [Parameter];

    /// Whether every required parameter is there and not empty.
    fn is_complete(&self) -> bool;
}

/// The answer of the endpoints that have nothing to say: `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// Defines a request: a struct, and its [`Request`].
///
/// A field's kind says its type and what is taken: `required` text that is not empty; `text`, absent if empty; `verbatim`, text
/// that may be empty; `value`, text that is empty if absent; `texts` and `list<T>`, empty if absent; `required_list<T>`;
/// `entries<T>`, a list whose items must have the fields named; `integer`, `boolean` and `one<T>`, which may be absent; `run`, an id under the names `run_id` and `run_uuid`.
macro_rules! request {
    ($(#[$doc:meta])* $name:ident { $($fields:tt)* }) => {
        $crate::messages::request!(@next [$(#[$doc])* $name] [] [] [] [] $($fields)*);
    };

    (@next [$(#[$doc:meta])* $name:ident] [$($field:tt)*] [$($parameter:expr,)*] [$($required:ident)*] [$(($id:ident $uuid:ident))?]) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct $name { $($field)* }

        impl $crate::messages::Request for $name {
            const PARAMETERS: &'static [$crate::messages::Parameter] = &[$($parameter),*];

            fn is_complete(&self) -> bool {
                $(if self.$required.is_empty() { return false; })*
                $(if self.$id.is_empty() && self.$uuid.is_empty() { return false; })?
                true
            }
        }

        $(impl $name {
            /// The run, under whichever name it came.
            pub fn run_id(&self) -> &str {
                if self.$id.is_empty() { &self.$uuid } else { &self.$id }
            }
        })?
    };

    (@next $head:tt [$($field:tt)*] [$($parameter:tt)*] $required:tt $run:tt $(#[$doc:meta])* run, $($rest:tt)*) => {
        $crate::messages::request!(@next $head [$($field)*
            /// The run.
            #[serde(deserialize_with = "crate::json::text", skip_serializing_if = "String::is_empty")]
            pub run_id: String,
            /// The run, under its older name.
            #[serde(deserialize_with = "crate::json::text", skip_serializing_if = "String::is_empty")]
            pub run_uuid: String,
        ] [$($parameter)* $crate::messages::Parameter::required("run_id", $crate::messages::Kind::Text),] $required [(run_id run_uuid)] $($rest)*);
    };
    (@next $head:tt [$($field:tt)*] [$($parameter:tt)*] [$($required:tt)*] $run:tt $(#[$doc:meta])* $name:ident: required, $($rest:tt)*) => {
        $crate::messages::request!(@next $head [$($field)* $(#[$doc])* #[serde(deserialize_with = "crate::json::text", skip_serializing_if = "String::is_empty")] pub $name: String,]
            [$($parameter)* $crate::messages::Parameter::required(stringify!($name), $crate::messages::Kind::Text),]
            [$($required)* $name] $run $($rest)*);
    };
    (@next $head:tt [$($field:tt)*] [$($parameter:tt)*] [$($required:tt)*] $run:tt $(#[$doc:meta])* $name:ident: required_list<$item:ty>, $($rest:tt)*) => {
        $crate::messages::request!(@next $head [$($field)* $(#[$doc])* #[serde(deserialize_with = "crate::json::list", skip_serializing_if = "Vec::is_empty")] pub $name: Vec<$item>,]
            [$($parameter)* $crate::messages::Parameter::required(stringify!($name), $crate::messages::Kind::List),]
            [$($required)* $name] $run $($rest)*);
    };
    (@next $head:tt [$($field:tt)*] [$($parameter:tt)*] [$($required:tt)*] $run:tt $(#[$doc:meta])* $name:ident: required_texts, $($rest:tt)*) => {
        $crate::messages::request!(@next $head [$($field)* $(#[$doc])* #[serde(deserialize_with = "crate::json::list", skip_serializing_if = "Vec::is_empty")] pub $name: Vec<String>,]
            [$($parameter)* $crate::messages::Parameter::required(stringify!($name), $crate::messages::Kind::Texts),]
            [$($required)* $name] $run $($rest)*);
    };
    (@next $head:tt [$($field:tt)*] [$($parameter:tt)*] $required:tt $run:tt $(#[$doc:meta])* $name:ident: text, $($rest:tt)*) => {
        $crate::messages::request!(@next $head [$($field)* $(#[$doc])* #[serde(deserialize_with = "crate::json::optional_text", skip_serializing_if = "Option::is_none")] pub $name: Option<String>,]
            [$($parameter)* $crate::messages::Parameter::optional(stringify!($name), $crate::messages::Kind::Text),] $required $run $($rest)*);
    };
    (@next $head:tt [$($field:tt)*] [$($parameter:tt)*] $required:tt $run:tt $(#[$doc:meta])* $name:ident: verbatim, $($rest:tt)*) => {
        $crate::messages::request!(@next $head [$($field)* $(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<String>,]
            [$($parameter)* $crate::messages::Parameter::optional(stringify!($name), $crate::messages::Kind::Text),] $required $run $($rest)*);
    };
    (@next $head:tt [$($field:tt)*] [$($parameter:tt)*] $required:tt $run:tt $(#[$doc:meta])* $name:ident: value, $($rest:tt)*) => {
        $crate::messages::request!(@next $head [$($field)* $(#[$doc])* #[serde(deserialize_with = "crate::json::text", skip_serializing_if = "String::is_empty")] pub $name: String,]
            [$($parameter)* $crate::messages::Parameter::optional(stringify!($name), $crate::messages::Kind::Text),] $required $run $($rest)*);
    };
    (@next $head:tt [$($field:tt)*] [$($parameter:tt)*] $required:tt $run:tt $(#[$doc:meta])* $name:ident: texts, $($rest:tt)*) => {
        $crate::messages::request!(@next $head [$($field)* $(#[$doc])* #[serde(deserialize_with = "crate::json::list", skip_serializing_if = "Vec::is_empty")] pub $name: Vec<String>,]
            [$($parameter)* $crate::messages::Parameter::optional(stringify!($name), $crate::messages::Kind::Texts),] $required $run $($rest)*);
    };
    (@next $head:tt [$($field:tt)*] [$($parameter:tt)*] $required:tt $run:tt $(#[$doc:meta])* $name:ident: list<$item:ty>, $($rest:tt)*) => {
        $crate::messages::request!(@next $head [$($field)* $(#[$doc])* #[serde(deserialize_with = "crate::json::list", skip_serializing_if = "Vec::is_empty")] pub $name: Vec<$item>,]
            [$($parameter)* $crate::messages::Parameter::optional(stringify!($name), $crate::messages::Kind::List),] $required $run $($rest)*);
    };
    (@next $head:tt [$($field:tt)*] [$($parameter:tt)*] $required:tt $run:tt $(#[$doc:meta])* $name:ident: entries<$item:ty>[$($key:literal)+], $($rest:tt)*) => {
        $crate::messages::request!(@next $head [$($field)* $(#[$doc])* #[serde(deserialize_with = "crate::json::list", skip_serializing_if = "Vec::is_empty")] pub $name: Vec<$item>,]
            [$($parameter)* $crate::messages::Parameter::optional(stringify!($name), $crate::messages::Kind::Entries(&[$($key),+])),] $required $run $($rest)*);
    };
    (@next $head:tt [$($field:tt)*] [$($parameter:tt)*] $required:tt $run:tt $(#[$doc:meta])* $name:ident: integer, $($rest:tt)*) => {
        $crate::messages::request!(@next $head [$($field)* $(#[$doc])* #[serde(deserialize_with = "crate::json::optional_int64", skip_serializing_if = "Option::is_none")] pub $name: Option<i64>,]
            [$($parameter)* $crate::messages::Parameter::optional(stringify!($name), $crate::messages::Kind::Integer),] $required $run $($rest)*);
    };
    (@next $head:tt [$($field:tt)*] [$($parameter:tt)*] $required:tt $run:tt $(#[$doc:meta])* $name:ident: boolean, $($rest:tt)*) => {
        $crate::messages::request!(@next $head [$($field)* $(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<bool>,]
            [$($parameter)* $crate::messages::Parameter::optional(stringify!($name), $crate::messages::Kind::Boolean),] $required $run $($rest)*);
    };
    (@next $head:tt [$($field:tt)*] [$($parameter:tt)*] $required:tt $run:tt $(#[$doc:meta])* $name:ident: one<$item:ty>, $($rest:tt)*) => {
        $crate::messages::request!(@next $head [$($field)* $(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<$item>,]
            [$($parameter)* $crate::messages::Parameter::optional(stringify!($name), $crate::messages::Kind::Any),] $required $run $($rest)*);
    };
}
use request;

/// Defines an answer; the second form is a page of a list.
macro_rules! response {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),+ }
    };
    ($(#[$doc:meta])* $name:ident [$(#[$field_doc:meta])* $field:ident: $item:ty]) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $(#[$field_doc])*
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub $field: Vec<$item>,
            /// For the next page; absent at the end.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub next_page_token: Option<String>,
        }
    };
    ($(#[$doc:meta])* $name:ident ($(#[$field_doc:meta])* $field:ident: $item:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $(#[$field_doc])*
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub $field: Vec<$item>,
        }
    };
}
use response;
