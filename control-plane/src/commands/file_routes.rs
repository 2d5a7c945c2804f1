//! The routes of the files that an operator edits: sources, and overrides of the schedule. Reading
//! and writing blocks, so it is done on threads for that.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use super::CommandServer;
use super::problem::Problem;
use super::problem_responses::{
    BodyProblemResponses, CommandProblemResponses, FileChangeProblemResponses,
    FileProblemResponses, TextProblemResponses,
};
use super::routes::{json_response, parse_json_body};
use crate::config_files::{
    CheckedOverrides, CheckedSource, FileError, OverrideText, Precondition, SourceDraft,
    SourceFileText, SourceList,
};

pub(super) fn router() -> Router<Arc<CommandServer>> {
    Router::new()
        .route("/api/sources", get(list_sources))
        .route("/api/sources/{name}", get(get_source).put(save_source).delete(remove_source))
        .route("/api/sources/{name}/check", post(check_source))
        .route("/api/overrides", get(get_overrides).put(save_overrides))
        .route("/api/overrides/check", post(check_overrides))
}

/// Does work that blocks on a thread for that.
///
/// # Errors
/// It panicked.
pub(super) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Problem::Failed)
}

fn versioned_response(
    status: StatusCode,
    version: Option<&str>,
    body: impl serde::Serialize,
) -> Response {
    let mut response = json_response(status, body);
    let etag = version.and_then(|version| HeaderValue::try_from(format!("\"{version}\"")).ok());
    if let Some(etag) = etag {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// All sources, and the files that configure them
#[utoipa::path(
    get,
    path = "/api/sources",
    operation_id = "sources",
    responses((status = 200, body = SourceList), CommandProblemResponses),
)]
pub(super) async fn list_sources(
    State(commands): State<Arc<CommandServer>>,
) -> Result<Response, Problem> {
    let list = run_blocking(move || commands.tools.sources.list()).await?;
    Ok(json_response(StatusCode::OK, list))
}

/// A file in sources/
#[utoipa::path(
    get,
    path = "/api/sources/{name}",
    operation_id = "source",
    params(("name" = String, Path, description = "Of the file, without .toml")),
    responses(
        (status = 200, body = SourceFileText, description = "ETag is its version.",
            headers(("ETag" = String))),
        (status = 304, description = "It is what If-None-Match names."),
        CommandProblemResponses,
        FileProblemResponses,
    ),
)]
pub(super) async fn get_source(
    State(commands): State<Arc<CommandServer>>,
    Path(file): Path<String>,
) -> Result<Response, Problem> {
    let text = run_blocking(move || commands.tools.sources.read(&file)).await??;
    Ok(versioned_response(StatusCode::OK, Some(text.version()), &text))
}

/// Makes or changes a file in sources/
///
/// It has to pass its check. A running control plane uses it once it reads its configuration again.
#[utoipa::path(
    put,
    path = "/api/sources/{name}",
    operation_id = "save-source",
    params(
        ("name" = String, Path, description = "Of the file, without .toml: [a-z0-9_-], at most 64 characters"),
        ("If-Match" = Option<String>, Header, description = "The version that is changed, as ETag had it"),
        ("If-None-Match" = Option<String>, Header, description = "*: the file is a new one"),
    ),
    request_body(content = Option<SourceDraft>),
    responses(
        (status = 200, body = SourceFileText, headers(("ETag" = String))),
        (status = 201, body = SourceFileText, description = "The file is a new one.", headers(("ETag" = String))),
        CommandProblemResponses,
        BodyProblemResponses,
        TextProblemResponses,
        FileChangeProblemResponses,
    ),
)]
pub(super) async fn save_source(
    State(commands): State<Arc<CommandServer>>,
    Path(file): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let draft: SourceDraft = parse_json_body(&headers, body)?;
    let precondition = Precondition::of_headers(&headers)?;
    let save = move || commands.tools.sources.save(&file, &draft, &precondition);
    let (text, is_new) = run_blocking(save).await??;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(versioned_response(status, Some(text.version()), &text))
}

/// Removes a file in sources/
#[utoipa::path(
    delete,
    path = "/api/sources/{name}",
    operation_id = "remove-source",
    params(
        ("name" = String, Path, description = "Of the file, without .toml"),
        ("If-Match" = Option<String>, Header, description = "The version that is removed, as ETag had it"),
    ),
    responses(
        (status = 204, description = "It is removed."),
        CommandProblemResponses,
        FileProblemResponses,
        FileChangeProblemResponses,
    ),
)]
pub(super) async fn remove_source(
    State(commands): State<Arc<CommandServer>>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let precondition = match Precondition::of_headers(&headers)? {
        Precondition::Absent => return Err(FileError::PreconditionMissing.into()),
        versions => versions,
    };
    run_blocking(move || commands.tools.sources.remove(&file, &precondition)).await??;
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

/// What a file in sources/ would be; nothing is saved, run or fetched
#[utoipa::path(
    post,
    path = "/api/sources/{name}/check",
    operation_id = "check-source",
    params(("name" = String, Path, description = "Of the file, without .toml")),
    request_body(content = Option<SourceDraft>),
    responses(
        (status = 200, body = CheckedSource, description = "It could be saved."),
        CommandProblemResponses,
        BodyProblemResponses,
        TextProblemResponses,
    ),
)]
pub(super) async fn check_source(
    State(commands): State<Arc<CommandServer>>,
    Path(file): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let draft: SourceDraft = parse_json_body(&headers, body)?;
    let checked: CheckedSource =
        run_blocking(move || commands.tools.sources.check(&file, &draft)).await??;
    Ok(json_response(StatusCode::OK, checked))
}

/// The text of the override file.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OverrideDraft {
    /// The whole file, in TOML.
    #[schema(required = true)]
    text: Option<String>,
}

impl OverrideDraft {
    /// A body that was forgotten must not empty the file.
    fn into_text(self) -> Result<String, Problem> {
        self.text.ok_or_else(|| Problem::BadBody("text is missing".to_owned()))
    }
}

/// The override file of the schedule
#[utoipa::path(
    get,
    path = "/api/overrides",
    operation_id = "overrides",
    responses(
        (status = 200, body = OverrideText, description = "ETag is its version.",
            headers(("ETag" = String))),
        (status = 304, description = "It is what If-None-Match names."),
        CommandProblemResponses,
        FileProblemResponses,
    ),
)]
pub(super) async fn get_overrides(
    State(commands): State<Arc<CommandServer>>,
) -> Result<Response, Problem> {
    let text = run_blocking(move || commands.tools.overrides.read()).await??;
    Ok(versioned_response(StatusCode::OK, text.version(), &text))
}

/// Changes the override file of the schedule, which is in force within seconds
#[utoipa::path(
    put,
    path = "/api/overrides",
    operation_id = "save-overrides",
    params(
        ("If-Match" = Option<String>, Header, description = "The version that is changed, as ETag had it"),
        ("If-None-Match" = Option<String>, Header, description = "*: there is no file yet"),
    ),
    request_body(content = OverrideDraft),
    responses(
        (status = 200, body = OverrideText, headers(("ETag" = String))),
        CommandProblemResponses,
        BodyProblemResponses,
        TextProblemResponses,
        FileChangeProblemResponses,
    ),
)]
pub(super) async fn save_overrides(
    State(commands): State<Arc<CommandServer>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let text = parse_json_body::<OverrideDraft>(&headers, body)?.into_text()?;
    let precondition = Precondition::of_headers(&headers)?;
    let saved = run_blocking(move || commands.tools.overrides.save(&text, &precondition)).await??;
    Ok(versioned_response(StatusCode::OK, saved.version(), &saved))
}

/// Whether a text could be the override file; nothing is saved
#[utoipa::path(
    post,
    path = "/api/overrides/check",
    operation_id = "check-overrides",
    request_body(content = OverrideDraft),
    responses(
        (status = 200, body = CheckedOverrides, description = "It could be saved."),
        CommandProblemResponses,
        BodyProblemResponses,
        TextProblemResponses,
    ),
)]
pub(super) async fn check_overrides(
    State(commands): State<Arc<CommandServer>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let text = parse_json_body::<OverrideDraft>(&headers, body)?.into_text()?;
    let checked: CheckedOverrides =
        run_blocking(move || commands.tools.overrides.check(&text)).await??;
    Ok(json_response(StatusCode::OK, checked))
}
