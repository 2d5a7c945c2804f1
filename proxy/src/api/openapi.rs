//! [`OpenApi`]: the table of operations as an OpenAPI 3.1 document.

use bytes::Bytes;
use pitwall_upstream_map::documents::ProblemDetails;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItemBuilder, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{ResponseBuilder, ResponsesBuilder};
use utoipa::openapi::schema::{ArrayBuilder, ComponentsBuilder, ObjectBuilder, Type};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApiBuilder, RefOr, Required, Response, Server,
};

use super::handler::MAP_VERSION_HEADER;
use super::operations::{OPERATIONS, Operation, REPORTS_PATH, ResponseContent};
use super::schema::{Schemas, schema_of};
use crate::feedback::cmcd::{REPORTS_MAX_COUNT, Report};
use crate::http::public_path::PublicPath;

/// The document as JSON, serialised once.
#[derive(Clone)]
pub struct OpenApi(Bytes);

impl OpenApi {
    /// The document of the edge's operations, merged with that of the control plane's commands.
    /// `public_path`: what the paths of all operations are below, where that is not the root.
    ///
    /// # Errors
    /// The document cannot be serialised.
    pub fn with_commands(
        commands: utoipa::openapi::OpenApi,
        public_path: &PublicPath,
    ) -> Result<Self, serde_json::Error> {
        let mut document = build_document();
        document.merge(commands);
        let path = public_path.as_str();
        document.servers = (!path.is_empty()).then(|| vec![Server::new(path)]);
        Ok(Self(serde_json::to_string(&document)?.into()))
    }

    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }
}

fn build_document() -> utoipa::openapi::OpenApi {
    let mut schemas = Schemas::new();
    let mut paths = PathsBuilder::new();
    for operation in OPERATIONS {
        paths = paths.path(operation.path, path_item(operation, &mut schemas));
    }
    let reports =
        PathItemBuilder::new().operation(HttpMethod::Post, reports_operation(&mut schemas));
    paths = paths.path(REPORTS_PATH, reports.build());
    let info = InfoBuilder::new()
        .title("Pitwall")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "What is on, what can be watched, and how its sources fare. Media is under /live, \
             /proxy and /relay and is not described here: players find it in playlists.",
        ))
        .build();
    let components = ComponentsBuilder::new().schemas_from_iter(schemas).build();
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build()
}

fn path_item(operation: &Operation, schemas: &mut Schemas) -> utoipa::openapi::PathItem {
    let mut ok = ok_response(&operation.response, schemas);
    let mut not_modified = Response::new("It is what If-None-Match names.");
    let is_document =
        matches!(operation.response, ResponseContent::Json(_)) || operation.path.contains('.');
    if is_document && operation.id != "openapi" {
        for response in [&mut ok, &mut not_modified] {
            let header = RefOr::T(map_version_header());
            response.headers.insert(MAP_VERSION_HEADER.to_string(), header);
        }
    }
    let mut responses = ResponsesBuilder::new().response("200", ok);
    if is_document {
        responses = responses.response("304", not_modified);
    }
    // Health probes need no access key.
    let needs_access = !matches!(operation.id, "healthy" | "ready");
    for status in operation.error_statuses.iter().chain(needs_access.then_some(&401)) {
        responses = responses.response(status.to_string(), error_response(*status, schemas));
    }
    let mut builder = OperationBuilder::new()
        .operation_id(Some(operation.id))
        .summary(Some(operation.summary))
        .responses(responses.build());
    let parameter = |name: &str, location, required| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(location)
            .required(required)
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
    };
    if let Some(name) = find_path_parameter(operation.path) {
        builder = builder.parameter(parameter(name, ParameterIn::Path, Required::True));
    }
    if let Some((name, purpose)) = operation.query_parameter {
        let parameter = parameter(name, ParameterIn::Query, Required::False);
        builder = builder.parameter(parameter.description(Some(purpose)));
    }
    PathItemBuilder::new().operation(HttpMethod::Get, builder.build()).build()
}

/// `POST` of CMCD reports, the one operation of the edge that is no `GET`.
fn reports_operation(schemas: &mut Schemas) -> utoipa::openapi::path::Operation {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let text = ContentBuilder::new().schema(Some(text)).build();
    let list = ArrayBuilder::new().items(schema_of::<Report>(schemas));
    let list = list.min_items(Some(1)).max_items(Some(REPORTS_MAX_COUNT));
    let list = ContentBuilder::new().schema(Some(list)).build();
    let body = RequestBodyBuilder::new()
        .description(Some("A report a line, or a list of them; `cid` is the stream's id."))
        .content("application/cmcd", text)
        .content("application/json", list)
        .required(Some(Required::True));
    let mut responses =
        ResponsesBuilder::new().response("204", Response::new("They will be weighed."));
    for status in [400, 401, 404, 413, 415] {
        responses = responses.response(status.to_string(), error_response(status, schemas));
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

/// The name of the `{name}` in a path, if it has one.
fn find_path_parameter(path: &str) -> Option<&str> {
    let segment = path.split('/').find(|segment| segment.starts_with('{'))?;
    Some(segment.trim_matches(['{', '}']))
}

fn map_version_header() -> Header {
    let integer = ObjectBuilder::new().schema_type(Type::Integer);
    let description = "The version of the map that the response was made from.";
    HeaderBuilder::new().schema(Some(integer)).description(Some(description)).build()
}

fn ok_response(body: &ResponseContent, schemas: &mut Schemas) -> Response {
    let (content_type, schema) = match body {
        ResponseContent::Json(schema) => ("application/json", schema(schemas)),
        ResponseContent::Text(content_type) => {
            (*content_type, ObjectBuilder::new().schema_type(Type::String).build().into())
        }
    };
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description("What was asked for.").content(content_type, content).build()
}

fn error_response(status: u16, schemas: &mut Schemas) -> Response {
    let description = match status {
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
    let content = ContentBuilder::new().schema(Some(schema_of::<ProblemDetails>(schemas))).build();
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
        .build()
}
