//! `POST /api/reload`, and what it shares with `POST /reload` of the admin endpoints.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use pitwall_upstream_map::documents::{ConfigChanges, ProblemDetails};
use tokio::sync::{mpsc, oneshot};

use super::CommandServer;
use super::problem::{PROBLEM_CONTENT_TYPE, Problem};
use super::problem_responses::CommandProblemResponses;

/// Where requests to reload the configuration go: each is a sender of the response.
pub type ReloadRequestSender = mpsc::Sender<oneshot::Sender<http::Response<Vec<u8>>>>;

pub(super) fn router() -> Router<Arc<CommandServer>> {
    Router::new().route("/api/reload", post(reload))
}

/// Reads the configuration of the control plane again
#[utoipa::path(
    post,
    path = "/api/reload",
    operation_id = "reload",
    responses(
        (status = 200, body = ConfigChanges, description = "The configuration is in force."),
        CommandProblemResponses,
        (status = 422, body = ProblemDetails, content_type = PROBLEM_CONTENT_TYPE, description = "config-invalid: nothing has changed; file, line and key of what is wrong."),
    ),
)]
pub(super) async fn reload(
    State(commands): State<Arc<CommandServer>>,
) -> Result<Response, Problem> {
    request_reload(&commands.tools.reload_requests).await
}

/// Has the configuration read again; the response says what changed, or why nothing did.
///
/// # Errors
/// [`Problem::Busy`]: the process stops.
pub(super) async fn request_reload(requests: &ReloadRequestSender) -> Result<Response, Problem> {
    let (reply, response) = oneshot::channel();
    requests.send(reply).await.map_err(|_| Problem::Busy)?;
    response.await.map(|response| response.map(Body::from)).map_err(|_| Problem::Busy)
}
