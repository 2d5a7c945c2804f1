//! The HTTP routes of the operator's commands, each of which needs the admin token.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pitwall_upstream_map::Leadership;
use pitwall_upstream_map::documents::ProblemDetails;
use pitwall_upstream_map::trace_context::{self, TraceContext, X_REQUEST_ID};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Instrument as _;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use super::problem::{PROBLEM_CONTENT_TYPE, Problem};
use super::problem_responses::CommandProblemResponses;
use super::{CommandServer, file_routes, forwarding, reload_route, tool_routes};
use crate::model::command::{
    Command, CommandError, ReplySender, RunStarted, SwitchRequest, SwitchResult, ViewerCounts,
};
use crate::model::run_trace::RunTrace;

/// Larger than any command; the longest carry a file.
pub(super) const BODY_MAX_BYTES: usize = 64 * 1024;
/// The engine replies within milliseconds, or within five seconds while a switch waits for a store
/// that cannot be reached.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_secs(7);

/// Response descriptions that the operations share.
pub(super) const UNAUTHORIZED_DESCRIPTION: &str = "Not the admin token. signature-expired: the clocks of edge and control plane differ by more \
                        than a minute; signature-replayed: the same signed command came before.";
pub(super) const UNAVAILABLE_DESCRIPTION: &str = "Nothing was done: store-unavailable: the store cannot be reached; \
                       standing-by, leader-silent: which control plane leads is not known, or it \
                       cannot be reached; taking-over: it has just begun to lead; unavailable: it \
                       is busy. Retry-After says when to ask again.";
pub(super) const OUTCOME_UNKNOWN_DESCRIPTION: &str = "outcome-unknown: it was sent on and not answered in time. Look whether it \
                         was done before you send it again.";

pub(super) fn router(commands: CommandServer) -> Router {
    let commands = Arc::new(commands);
    Router::new()
        .route("/api/extractors/{name}/run", post(run_extractor))
        .route("/api/extractors/{name}/trace", get(get_trace))
        .route("/api/streams/{id}/switch", post(switch_stream))
        .route("/api/viewers", get(get_viewers))
        .merge(file_routes::router())
        .merge(tool_routes::router())
        .merge(reload_route::router())
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
        .fallback(|| async { Problem::NotFound })
        .layer(middleware::from_fn_with_state(commands.clone(), authorize_or_forward))
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .with_state(commands)
}

/// Authorizes the request before routing, so that a client without the token cannot even learn
/// which routes exist; then serves the request, or forwards it to the leader.
async fn authorize_or_forward(
    State(commands): State<Arc<CommandServer>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let request = commands.authorizer.authorize(request).await?;
    let log = CommandLogEntry::of(&request);
    let span = log.span();
    let answer = async {
        match commands.is_leader() {
            true => Ok(next.run(request).await),
            false => forwarding::forward_to_leader(&commands, request).await,
        }
    };
    let mut response = answer.instrument(span).await.into_response();
    log.write(response.status());
    if let Some(id) = log.request_id {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    Ok(response)
}

/// What the log and the spans say of a command.
struct CommandLogEntry {
    request_id: Option<HeaderValue>,
    trace: Option<TraceContext>,
    method: Method,
    path: String,
}

/// Target of the log lines of commands, each of which is logged.
pub const COMMAND_LOG_TARGET: &str = "pitwall_control_plane::command";

impl CommandLogEntry {
    fn of(request: &Request) -> Self {
        Self {
            request_id: trace_context::find_request_id(request.headers()).cloned(),
            trace: TraceContext::of_headers(request.headers()),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
        }
    }

    /// The edge's name of the request that brought the command.
    fn request_id(&self) -> &str {
        self.request_id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("-")
    }

    fn span(&self) -> tracing::Span {
        let span = tracing::debug_span!("command", request_id = self.request_id());
        if let Some(trace) = self.trace {
            trace_context::set_parent(&span, trace);
        }
        span
    }

    fn write(&self, status: StatusCode) {
        let (request_id, method, path) = (self.request_id(), &self.method, &self.path);
        let trace_id = self.trace.map(|trace| format!("{:032x}", trace.trace_id));
        let status = status.as_u16();
        // Anybody can send what is no command of an operator.
        if status == 401 {
            tracing::info!(request_id, trace_id, %method, path, status, "a command was refused");
            return;
        }
        tracing::info!(target: COMMAND_LOG_TARGET, request_id, trace_id, %method, path, status, "a command was answered");
    }
}

#[derive(OpenApi)]
#[openapi(
    paths(
        run_extractor,
        get_trace,
        switch_stream,
        get_viewers,
        file_routes::list_sources,
        file_routes::get_source,
        file_routes::save_source,
        file_routes::remove_source,
        file_routes::check_source,
        file_routes::get_overrides,
        file_routes::save_overrides,
        file_routes::check_overrides,
        tool_routes::try_source,
        tool_routes::get_trial,
        tool_routes::test_notifications,
        reload_route::reload,
    ),
    modifiers(&BearerScheme),
    security(("admin-token" = [])),
)]
struct CommandApi;

struct BearerScheme;

impl Modify for BearerScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("admin-token", scheme);
        // Set per operation, as the document is merged into a larger one whose other operations
        // need no token.
        let security = document.security.take();
        for item in document.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                operation.security.clone_from(&security);
            }
        }
    }
}

/// The OpenAPI document of the commands.
pub fn openapi() -> utoipa::openapi::OpenApi {
    CommandApi::openapi()
}

/// Runs a source now
#[utoipa::path(
    post,
    path = "/api/extractors/{name}/run",
    operation_id = "run-extractor",
    params(("name" = String, Path, description = "Of the source")),
    responses(
        (status = 202, body = RunStarted, description = "Its outcome will be in the trace."),
        (status = 401, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = UNAUTHORIZED_DESCRIPTION),
        (status = 404, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = "No such source."),
        (status = 503, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = UNAVAILABLE_DESCRIPTION),
        (status = 504, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = OUTCOME_UNKNOWN_DESCRIPTION),
    ),
)]
async fn run_extractor(
    State(commands): State<Arc<CommandServer>>,
    Path(extractor): Path<String>,
) -> Result<Response, Problem> {
    commands.execute(StatusCode::ACCEPTED, |reply| Command::Run { extractor, reply }).await
}

/// What the last run of a source did, step by step
#[utoipa::path(
    get,
    path = "/api/extractors/{name}/trace",
    operation_id = "trace-extractor",
    params(("name" = String, Path, description = "Of the source")),
    responses(
        (status = 200, body = RunTrace, description = "Secrets are masked."),
        (status = 401, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = UNAUTHORIZED_DESCRIPTION),
        (status = 404, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = "extractor-unknown: no such source. trace-missing: no run of it has ended yet; ask again."),
        (status = 503, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = UNAVAILABLE_DESCRIPTION),
        (status = 504, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = OUTCOME_UNKNOWN_DESCRIPTION),
    ),
)]
async fn get_trace(
    State(commands): State<Arc<CommandServer>>,
    Path(extractor): Path<String>,
) -> Result<Response, Problem> {
    commands.execute(StatusCode::OK, |reply| Command::GetTrace { extractor, reply }).await
}

/// The body of a switch; it and each of its fields may be omitted. Without `source` the next best
/// source becomes active. A pin is removed by a switch to the active source with `"pin": false`: no
/// viewer is moved, and ranking continues from there.
#[derive(Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct SwitchBody {
    /// The source that shall be active; by default the next best one.
    source: Option<String>,
    /// `true`: the source stays active until it is down, whatever the ranking. `false`: ranking
    /// continues from there.
    #[schema(default = true)]
    pin: bool,
}

impl Default for SwitchBody {
    fn default() -> Self {
        Self { source: None, pin: true }
    }
}

/// Moves a stream's viewers to another source
#[utoipa::path(
    post,
    path = "/api/streams/{id}/switch",
    operation_id = "switch-stream",
    params(("id" = String, Path, description = "Of the stream")),
    request_body(content = Option<SwitchBody>),
    responses(
        (status = 200, body = SwitchResult),
        (status = 400, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = "The body cannot be read."),
        (status = 401, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = UNAUTHORIZED_DESCRIPTION),
        (status = 404, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = "No such stream."),
        (status = 409, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = "That source cannot play now."),
        (status = 413, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = "The body is too long."),
        (status = 415, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = "The body is not JSON."),
        (status = 422, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = "The stream has nothing of that source."),
        (status = 503, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = UNAVAILABLE_DESCRIPTION),
        (status = 504, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = OUTCOME_UNKNOWN_DESCRIPTION),
    ),
)]
async fn switch_stream(
    State(commands): State<Arc<CommandServer>>,
    Path(stream): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let SwitchBody { source, pin } = parse_json_body(&headers, body)?;
    let request = SwitchRequest { source, pin };
    let requested_at = Instant::now();
    commands
        .execute(StatusCode::OK, |reply| Command::Switch { stream, request, requested_at, reply })
        .await
}

/// Who watches what, and what an operator has pinned
#[utoipa::path(
    get,
    path = "/api/viewers",
    operation_id = "viewers",
    responses(
        (status = 200, body = ViewerCounts, description = "Numbers alone: nothing of a viewer."),
        CommandProblemResponses,
    ),
)]
async fn get_viewers(State(commands): State<Arc<CommandServer>>) -> Result<Response, Problem> {
    commands.execute(StatusCode::OK, |reply| Command::GetViewers { reply }).await
}

pub(super) fn parse_json_body<T: Default + for<'de> Deserialize<'de>>(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<T, Problem> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::BodyTooLarge,
        _ => Problem::BadBody("the body broke off".to_owned()),
    })?;
    if body.is_empty() {
        return Ok(T::default());
    }
    let is_json = |value: &HeaderValue| {
        let media_type = value.as_bytes().split(|byte| *byte == b';').next();
        media_type.is_some_and(|it| it.trim_ascii().eq_ignore_ascii_case(b"application/json"))
    };
    if !headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
        return Err(Problem::NotJson);
    }
    serde_json::from_slice(&body).map_err(|error| Problem::BadBody(error.to_string()))
}

impl CommandServer {
    /// Why this control plane cannot execute the command itself.
    pub(super) fn not_leading_problem(&self) -> Problem {
        match self.store.leadership() {
            Leadership::Standby(None) => Problem::StandingBy,
            Leadership::Unreachable => Problem::NoLeader,
            Leadership::Standby(Some(_)) | Leadership::Leader | Leadership::Unknown => {
                Problem::LeaderUndecided
            }
        }
    }

    async fn execute<T: Serialize>(
        &self,
        status: StatusCode,
        command: impl FnOnce(ReplySender<T>) -> Command,
    ) -> Result<Response, Problem> {
        if !self.is_leader() {
            return Err(self.not_leading_problem());
        }
        let (reply, result) = oneshot::channel();
        let reply_received = async {
            self.command_sender.send(command(reply)).await.ok()?;
            result.await.ok()
        };
        let result = tokio::time::timeout(COMMAND_TIMEOUT, reply_received).await.ok().flatten();
        let result = match result {
            Some(Ok(result)) => result,
            Some(Err(CommandError::NotLeading)) => return Err(self.not_leading_problem()),
            Some(Err(error)) => return Err(Problem::CommandFailed(error)),
            // This control plane lost the lease while it executed the command.
            None if !self.is_leader() => return Err(self.not_leading_problem()),
            None => return Err(Problem::Busy),
        };
        Ok(json_response(status, result))
    }
}

pub(super) fn json_response(status: StatusCode, body: impl Serialize) -> Response {
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (status, headers, axum::Json(body)).into_response()
}
