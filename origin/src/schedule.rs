//! The season of [`calendar`](crate::calendar), served as Jolpica and OpenF1 would.
//!
//! - [`jolpica`]: its Jolpica documents.
//! - [`openf1`]: its OpenF1 documents.

mod jolpica;
mod openf1;

use axum::Router;
use axum::routing::get;

use crate::state::OriginState;

pub(crate) fn routes() -> Router<OriginState> {
    Router::new()
        .route("/ergast/f1/{season}/races", get(jolpica::list_races))
        .route("/ergast/f1/{season}/races/", get(jolpica::list_races))
        .route("/ergast/f1/{season}/races.json", get(jolpica::list_races))
        .route("/ergast/f1/{season}/races.json/", get(jolpica::list_races))
        .route("/v1/sessions", get(openf1::serve_sessions))
        .route("/v1/meetings", get(openf1::serve_meetings))
}
