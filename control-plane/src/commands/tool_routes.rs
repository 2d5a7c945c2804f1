//! The routes that try something out: a dry run of a source, and a test of the webhooks.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use pitwall_upstream_map::documents::ProblemDetails;

use super::CommandServer;
use super::file_routes::run_blocking;
use super::problem::{PROBLEM_CONTENT_TYPE, Problem};
use super::problem_responses::{
    BodyProblemResponses, CommandProblemResponses, TextProblemResponses,
};
use super::routes::{json_response, parse_json_body};
use crate::config_files::SourceDraft;
use crate::trial::{Trial, TrialStarted, TrialsBusy};
use crate::webhooks::WebhookTestResults;

pub(super) fn router() -> Router<Arc<CommandServer>> {
    Router::new()
        .route("/api/sources/{name}/trial", post(try_source))
        .route("/api/trials/{id}", get(get_trial))
        .route("/api/notifications/test", post(test_notifications))
}

/// Runs a source that is not saved: what does it find, and does that play?
#[utoipa::path(
    post,
    path = "/api/sources/{name}/trial",
    operation_id = "try-source",
    params(("name" = String, Path, description = "Of the file, without .toml")),
    request_body(content = Option<SourceDraft>),
    responses(
        (status = 202, body = TrialStarted, description = "/api/trials/{id} will have its result."),
        CommandProblemResponses,
        BodyProblemResponses,
        TextProblemResponses,
        (status = 409, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = "trials-busy: two trials run already. source-name-taken: another source has this name, and where."),
    ),
)]
pub(super) async fn try_source(
    State(commands): State<Arc<CommandServer>>,
    Path(file): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let draft: SourceDraft = parse_json_body(&headers, body)?;
    let tools = commands.tools.clone();
    let source = run_blocking(move || tools.sources.parse(&file, &draft)).await??;
    let trial = commands.tools.trials.start(source).map_err(|TrialsBusy| Problem::TrialsBusy)?;
    Ok(json_response(StatusCode::ACCEPTED, TrialStarted { trial }))
}

/// What a dry run has come to
#[utoipa::path(
    get,
    path = "/api/trials/{id}",
    operation_id = "trial",
    params(("id" = String, Path, description = "Of the trial")),
    responses(
        (status = 200, body = Trial, description = "While it runs, its result is null."),
        CommandProblemResponses,
        (status = 404, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = "No such trial, or it was too long ago."),
    ),
)]
pub(super) async fn get_trial(
    State(commands): State<Arc<CommandServer>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let trial = commands.tools.trials.get(&id).ok_or(Problem::TrialUnknown)?;
    Ok(json_response(StatusCode::OK, trial))
}

/// Sends each webhook a test
#[utoipa::path(
    post,
    path = "/api/notifications/test",
    operation_id = "test-notifications",
    responses(
        (status = 200, body = WebhookTestResults, description = "What each webhook answered."),
        CommandProblemResponses,
    ),
)]
pub(super) async fn test_notifications(
    State(commands): State<Arc<CommandServer>>,
) -> Result<Response, Problem> {
    let results: WebhookTestResults = commands.tools.notification_test.run().await;
    Ok(json_response(StatusCode::OK, results))
}
