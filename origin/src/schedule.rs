//! An invented season around now, in the shapes of jolpica and OpenF1.

mod calendar;
mod jolpica;
mod openf1;

use axum::Router;
use axum::routing::get;

pub(crate) use calendar::Calendar;

use crate::routes::Site;

pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route("/ergast/f1/{season}/races", get(jolpica::races))
        .route("/ergast/f1/{season}/races/", get(jolpica::races))
        .route("/ergast/f1/{season}/races.json", get(jolpica::races))
        .route("/ergast/f1/{season}/races.json/", get(jolpica::races))
        .route("/v1/sessions", get(openf1::sessions))
        .route("/v1/meetings", get(openf1::meetings))
}
