//! Component schemas of the OpenAPI document.

use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};

/// Gives the schema of a response, and adds the schemas that it refers to.
pub type SchemaFn = fn(&mut Schemas) -> RefOr<Schema>;
/// Component schemas by name.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// A reference to the schema of `T`, which is added to `schemas` with those that it refers to.
pub fn schema_of<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
    Ref::from_schema_name(T::name()).into()
}

/// The schema of any JSON object.
pub fn any_object_schema(_schemas: &mut Schemas) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Object).build().into()
}
