//! The table of operations as an OpenAPI 3.1 document.

use bytes::Bytes;
use pitwall_upstream_map::documents::ProblemDetails;
use utoipa::ToSchema;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItemBuilder, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{ResponseBuilder, ResponsesBuilder};
use utoipa::openapi::schema::{ArrayBuilder, ComponentsBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApiBuilder, Ref, RefOr, Required, Response,
};

use super::operations::{Body, OPERATIONS, Operation, REPORTS};
use crate::cmcd::{MOST, Report};

/// Gives the schema of an answer, and remembers those that it refers to.
pub type SchemaOf = fn(&mut Schemas) -> RefOr<Schema>;
type Schemas = Vec<(String, RefOr<Schema>)>;

pub fn schema_of<T: ToSchema>(known: &mut Schemas) -> RefOr<Schema> {
    known.push((T::name().into_owned(), T::schema()));
    T::schemas(known);
    Ref::from_schema_name(T::name()).into()
}

pub fn any_object(_known: &mut Schemas) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Object).build().into()
}

/// The document, written once.
#[derive(Clone)]
pub struct OpenApi(Bytes);

impl OpenApi {
    /// Together with what the control plane says of its commands.
    pub fn with(commands: utoipa::openapi::OpenApi) -> Result<Self, serde_json::Error> {
        let mut document = document();
        document.merge(commands);
        Ok(Self(serde_json::to_string(&document)?.into()))
    }

    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }
}

fn document() -> utoipa::openapi::OpenApi {
    let mut known = Schemas::new();
    let mut paths = PathsBuilder::new();
    for operation in OPERATIONS {
        paths = paths.path(operation.path, item(operation, &mut known));
    }
    let reports = PathItemBuilder::new().operation(HttpMethod::Post, reports(&mut known));
    paths = paths.path(REPORTS, reports.build());
    let info = InfoBuilder::new()
        .title("Pitwall")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "What is on, what can be watched, and how its sources fare. Media is under /live, \
             /proxy and /relay and is not described here: players find it in playlists.",
        ))
        .build();
    let components = ComponentsBuilder::new().schemas_from_iter(known).build();
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build()
}

fn item(operation: &Operation, known: &mut Schemas) -> utoipa::openapi::PathItem {
    let mut responses = ResponsesBuilder::new().response("200", answer(&operation.answer, known));
    if matches!(operation.answer, Body::Json(_)) || operation.path.contains('.') {
        responses = responses.response("304", Response::new("It is what If-None-Match names."));
    }
    // Whoever asks whether the process lives need not be somebody who watches.
    let guarded = !matches!(operation.id, "healthy" | "ready");
    for status in operation.refusals.iter().chain(guarded.then_some(&401)) {
        responses = responses.response(status.to_string(), refusal(*status, known));
    }
    let mut described = OperationBuilder::new()
        .operation_id(Some(operation.id))
        .summary(Some(operation.summary))
        .responses(responses.build());
    let parameter = |name: &str, place, required| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
    };
    if let Some(name) = name_in(operation.path) {
        described = described.parameter(parameter(name, ParameterIn::Path, Required::True));
    }
    if let Some((name, purpose)) = operation.query {
        let parameter = parameter(name, ParameterIn::Query, Required::False);
        described = described.parameter(parameter.description(Some(purpose)));
    }
    PathItemBuilder::new().operation(HttpMethod::Get, described.build()).build()
}

/// The one thing that is not asked but told.
fn reports(known: &mut Schemas) -> utoipa::openapi::path::Operation {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let text = ContentBuilder::new().schema(Some(text)).build();
    let many = ArrayBuilder::new().items(schema_of::<Report>(known));
    let many = many.min_items(Some(1)).max_items(Some(MOST));
    let many = ContentBuilder::new().schema(Some(many)).build();
    let body = RequestBodyBuilder::new()
        .description(Some("A report a line, or a list of them; `cid` is the stream's id."))
        .content("application/cmcd", text)
        .content("application/json", many)
        .required(Some(Required::True));
    let mut responses =
        ResponsesBuilder::new().response("204", Response::new("They will be weighed."));
    for status in [400, 401, 404, 413, 415] {
        responses = responses.response(status.to_string(), refusal(status, known));
    }
    let key = ParameterBuilder::new()
        .name("key")
        .parameter_in(ParameterIn::Query)
        .description(Some("In access mode `key`: a token of the stream, or the key."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
    OperationBuilder::new()
        .operation_id(Some("report"))
        .summary(Some("What a player says of how it fares: CMCD version 2, event mode"))
        .parameter(key)
        .request_body(Some(body.build()))
        .responses(responses.build())
        .build()
}

fn name_in(path: &str) -> Option<&str> {
    let segment = path.split('/').find(|segment| segment.starts_with('{'))?;
    Some(segment.trim_matches(['{', '}']))
}

fn answer(body: &Body, known: &mut Schemas) -> Response {
    let (content_type, schema) = match body {
        Body::Json(schema) => ("application/json", schema(known)),
        Body::Text(content_type) => {
            (*content_type, ObjectBuilder::new().schema_type(Type::String).build().into())
        }
    };
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description("What was asked for.").content(content_type, content).build()
}

fn refusal(status: u16, known: &mut Schemas) -> Response {
    let what = match status {
        400 => "A parameter or the body cannot be read.",
        401 => {
            "In access mode `key`: neither the key as `?key=`, nor a cookie or a token; under /api \
                nor the admin token as Authorization: Bearer."
        }
        404 => "There is no such thing.",
        413 => "The body is too long.",
        415 => "The body is of another type.",
        _ => "Not now: ask again soon.",
    };
    let content = ContentBuilder::new().schema(Some(schema_of::<ProblemDetails>(known))).build();
    ResponseBuilder::new().description(what).content("application/problem+json", content).build()
}
