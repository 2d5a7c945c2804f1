//! An invented season around the present, served as Jolpica and OpenF1 would.
//!
//! - [`calendar`]: the season as a function of the time.
//! - [`jolpica`]: its Jolpica documents.
//! - [`openf1`]: its OpenF1 documents.

mod calendar;
mod jolpica;
mod openf1;

use axum::Router;
use axum::routing::get;

pub(crate) use calendar::Calendar;

use crate::routes::OriginState;

pub(crate) fn routes() -> Router<OriginState> {
    Router::new()
        .route("/ergast/f1/{season}/races", get(jolpica::list_races))
        .route("/ergast/f1/{season}/races/", get(jolpica::list_races))
        .route("/ergast/f1/{season}/races.json", get(jolpica::list_races))
        .route("/ergast/f1/{season}/races.json/", get(jolpica::list_races))
        .route("/v1/sessions", get(openf1::serve_sessions))
        .route("/v1/meetings", get(openf1::serve_meetings))
}
