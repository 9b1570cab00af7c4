//! The executable schema, made of the text of `schema.graphql`.

use std::sync::LazyLock;

use anmok_protocol::{ApiError, ErrorCode};
use async_graphql::dynamic::{Enum, Field, InputObject, InputValue, Object, Scalar, Schema, TypeRef};
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{BaseType, FieldDefinition, InputValueDefinition, Type, TypeDefinition, TypeKind, TypeSystemDefinition};

use super::{calls, fields};

const TEXT: &str = include_str!("schema.graphql");

/// The schema.
pub(super) fn schema() -> Result<&'static Schema, ApiError> {
    static SCHEMA: LazyLock<Result<Schema, String>> = LazyLock::new(build);
    SCHEMA.as_ref().map_err(|error| ApiError::new(ErrorCode::InternalError, format!("the GraphQL schema is wrong: {error}")))
}

fn build() -> Result<Schema, String> {
    let document = parse_schema(TEXT).map_err(|error| error.to_string())?;
    let mut builder = Schema::build("Query", Some("Mutation"), None);
    for definition in document.definitions {
        if let TypeSystemDefinition::Type(definition) = definition {
            let TypeDefinition { name, kind, .. } = definition.node;
            let name = name.node.as_str();
            builder = match kind {
                TypeKind::Scalar => builder.register(Scalar::new(name)),
                TypeKind::Enum(kind) => {
                    let items = kind.values.into_iter().map(|value| value.node.value.node.to_string());
                    builder.register(items.fold(Enum::new(name), Enum::item))
                }
                TypeKind::InputObject(kind) => {
                    builder.register(kind.fields.iter().fold(InputObject::new(name), |object, field| object.field(input(&field.node))))
                }
                TypeKind::Object(kind) => {
                    builder.register(kind.fields.iter().fold(Object::new(name), |object, item| object.field(field(name, &item.node))))
                }
                TypeKind::Interface(_) | TypeKind::Union(_) => return Err(format!("{name} is an interface or a union")),
            };
        }
    }
    builder.finish().map_err(|error| error.to_string())
}

fn field(parent: &str, definition: &FieldDefinition) -> Field {
    let (name, ty) = (definition.name.node.as_str(), &definition.ty.node);
    let shape = fields::Shape::of(ty);
    let field = match calls::call(parent, name) {
        Some(call) => Field::new(name, type_ref(ty), move |context| calls::resolve(context, call, shape)),
        None => {
            let key = fields::snake_case(name);
            Field::new(name, type_ref(ty), move |context| fields::resolve(&context, &key, shape))
        }
    };
    definition.arguments.iter().fold(field, |field, argument| field.argument(input(&argument.node)))
}

fn input(definition: &InputValueDefinition) -> InputValue {
    InputValue::new(definition.name.node.as_str(), type_ref(&definition.ty.node))
}

fn type_ref(ty: &Type) -> TypeRef {
    let nullable = match &ty.base {
        BaseType::Named(name) => TypeRef::named(name.as_str()),
        BaseType::List(item) => TypeRef::List(Box::new(type_ref(item))),
    };
    if ty.nullable { nullable } else { TypeRef::NonNull(Box::new(nullable)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_whole() {
        let sdl = schema().unwrap().sdl();
        for line in [
            "mlflowGetRun(input: MlflowGetRunInput): MlflowGetRunResponse",
            "metrics: [MlflowMetricExtension!]",
            "runViewType: MlflowViewType",
            "aliases: [String]",
        ] {
            assert!(sdl.contains(line), "{line} in {sdl}");
        }
    }
}
