//! Where what is asked is answered, from the map that is there and nothing else.

use std::sync::Arc;

use bytes::Bytes;
use http::header;
use pitwall_upstream_map::{Store, UpstreamMap};
use serde::Serialize;

use super::events::Events;
use super::operations::{Ask, Document};
use super::overruled::{Overruled, Playing};
use super::views::Views;
use super::{OpenApi, channels, views};
use crate::access::Door;
use crate::answer::Answer;
use crate::drain::Draining;
use crate::problem::Problem;

const JSON: &str = "application/json";

pub struct Desk {
    pub store: Arc<dyn Store>,
    pub views: Views,
    pub events: Arc<Events>,
    pub openapi: OpenApi,
    pub draining: Draining,
}

impl Desk {
    /// The streams for players of channels, each with what has to be shown for it.
    pub fn channels(&self, shown: &dyn Fn(Door<'_>) -> String) -> Result<Answer, Problem> {
        let map = self.store.current();
        let text = channels::write(views::text(&map.documents.playlist)?, shown);
        Ok(of(&map, "audio/x-mpegurl", text.into()))
    }

    /// What the page starts with.
    pub fn bootstrap(&self, playing: Playing<'_>) -> Result<String, Problem> {
        let map = self.store.current();
        self.bootstrap_of(&map, &Overruled::of(&map, playing))
    }

    fn bootstrap_of(
        &self,
        map: &Arc<UpstreamMap>,
        overruled: &Overruled<'_>,
    ) -> Result<String, Problem> {
        if overruled.is_empty() {
            return Ok(views::text(&map.documents.bootstrap)?.to_owned());
        }
        let mut bootstrap = self.views.of(map).bootstrap()?.clone();
        bootstrap.streams.iter_mut().for_each(|stream| overruled.correct(stream));
        serde_json::to_string(&bootstrap).map_err(|_| Problem::Starting)
    }

    /// An answer that is whole. Events are not, and commands are for somebody else.
    pub fn answer(&self, ask: &Ask, playing: Playing<'_>) -> Result<Answer, Problem> {
        let map = self.store.current();
        let documents = &map.documents;
        match ask {
            Ask::Document(document) => {
                let (text, content_type) = match document {
                    Document::Schedule => (&documents.schedule, JSON),
                    Document::Extractors => (&documents.extractors, JSON),
                    Document::Status => (&documents.status, JSON),
                    Document::Calendar => (&documents.calendar, "text/calendar; charset=utf-8"),
                    Document::Guide => (&documents.guide, "application/xml; charset=utf-8"),
                    Document::Playlist => return self.channels(&|_| String::new()),
                    Document::Bootstrap => {
                        let overruled = Overruled::of(&map, playing);
                        let text = self.bootstrap_of(&map, &overruled)?.into();
                        let stays = overruled.is_empty();
                        return Ok(if stays { of(&map, JSON, text) } else { passing(text) });
                    }
                };
                Ok(of(&map, content_type, views::text(text)?.to_owned().into()))
            }
            Ask::Streams(session) => {
                let overruled = Overruled::of(&map, playing);
                if session.is_none() && overruled.is_empty() {
                    return Ok(of(&map, JSON, views::text(&documents.streams)?.to_owned().into()));
                }
                let read = self.views.of(&map);
                let mut streams = match session {
                    Some(session) => read.streams_of(session)?,
                    None => read.streams()?.clone(),
                };
                streams.streams.iter_mut().for_each(|stream| overruled.correct(stream));
                corrected(&map, &streams, &overruled)
            }
            Ask::Session(id) => json(&map, self.views.of(&map).session(id)?),
            Ask::Stream(id) => {
                let overruled = Overruled::one(&map, id, playing);
                let mut stream = self.views.of(&map).stream(id)?.clone();
                overruled.correct(&mut stream);
                corrected(&map, &stream, &overruled)
            }
            Ask::Explain(id) => {
                // Before the first map nobody knows which streams there are.
                views::text(&documents.streams)?;
                let explanation = documents.explain.get(id.as_str()).ok_or(Problem::NotFound)?;
                Ok(of(&map, JSON, views::text(explanation)?.to_owned().into()))
            }
            Ask::Widget => json(&map, &self.views.of(&map).widget()?),
            Ask::OpenApi => Ok(Answer::ok(JSON, self.openapi.bytes())
                .header(header::CACHE_CONTROL, "public, max-age=300")),
            Ask::Health => Ok(Answer::ok("text/plain", "ok\n".into())),
            Ask::Ready if self.draining.is_set() => Err(Problem::Stopping),
            Ask::Ready if self.store.unreadable().is_some() => Err(Problem::MapUnreadable),
            Ask::Ready if map.version == 0 => Err(Problem::Starting),
            Ask::Ready => Ok(Answer::ok("text/plain", "ready\n".into())),
            Ask::Events | Ask::Report | Ask::Command(_) => Err(Problem::NotFound),
        }
    }
}

fn json<T: Serialize>(map: &UpstreamMap, value: &T) -> Result<Answer, Problem> {
    let text = serde_json::to_vec(value).map_err(|_| Problem::Starting)?;
    Ok(of(map, JSON, text.into()))
}

fn corrected<T: Serialize>(
    map: &UpstreamMap,
    value: &T,
    overruled: &Overruled<'_>,
) -> Result<Answer, Problem> {
    if overruled.is_empty() {
        return json(map, value);
    }
    let text = serde_json::to_vec(value).map_err(|_| Problem::Starting)?;
    Ok(passing(text.into()))
}

/// No map says when this changes.
fn passing(body: Bytes) -> Answer {
    Answer::ok(JSON, body).header(header::CACHE_CONTROL, "no-cache")
}

/// All that a map says changes with it, and only then.
fn of(map: &UpstreamMap, content_type: &'static str, body: Bytes) -> Answer {
    Answer::ok(content_type, body)
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::ETAG, &format!("\"{}\"", map.version))
}
