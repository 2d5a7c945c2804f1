//! Taking up a body where it broke off, when it is certain to be the same one.

use http::{StatusCode, header};
use pitwall_fetch::Response;

use super::fill::Head;
use super::filling::{Filling, media_request};
use super::range::{Range, content_range};

/// Without a validator that can be trusted, this much is fetched again and compared.
const OVERLAP: u64 = 16 * 1024;

/// Which bytes are asked for: of the upstream's resource, not of the part of it that is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    first: u64,
    last: u64,
    /// How many of them are here already.
    overlap: u64,
    /// How long the resource is, where the whole of it is filled.
    whole: Option<u64>,
}

impl Resume {
    /// The rest of the body, if the upstream still has it. Only one of known length has a rest.
    pub async fn of(filling: &Filling<'_>, head: &Head) -> Option<Response> {
        let received = filling.fill.length();
        let resume = Self::after(received, head, filling.slice)?;
        let range = Range { first: resume.first, last: Some(resume.last) };
        let mut request = media_request(filling.target).forward(header::RANGE, range.value());
        if let Some(etag) = head.strong_etag() {
            request = request.forward(header::IF_RANGE, etag.clone());
        }
        let mut response = filling.target.send(filling.fetcher, request).await.ok()?;
        let given = response.headers().get(header::CONTENT_RANGE)?;
        let fits = response.status() == StatusCode::PARTIAL_CONTENT
            && resume.fits(content_range(given.as_bytes())?);
        if !fits {
            return None;
        }
        let known = filling.fill.tail(received, resume.overlap)?;
        let mut compared = 0;
        while compared < known.len() {
            let piece = response.chunk().await.ok()??;
            let (again, new) = piece.split_at(piece.len().min(known.len() - compared));
            if known.get(compared..compared + again.len())? != again {
                return None;
            }
            compared += again.len();
            if !new.is_empty() {
                filling.fill.push(piece.slice(again.len()..));
            }
        }
        tracing::info!(received, "a body that broke off was resumed");
        Some(response)
    }

    fn after(received: u64, head: &Head, slice: Option<(u64, u64)>) -> Option<Self> {
        let length = head.length.filter(|length| received < *length)?;
        let overlap = if head.strong_etag().is_some() { 0 } else { received.min(OVERLAP) };
        let start = slice.map_or(0, |(first, _)| first);
        Some(Self {
            first: start + received - overlap,
            last: start + length - 1,
            overlap,
            whole: slice.is_none().then_some(length),
        })
    }

    fn fits(&self, (first, last, whole): (u64, u64, Option<u64>)) -> bool {
        let same = self.whole.is_none() || whole.is_none() || self.whole == whole;
        first == self.first && last == self.last && same
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn head(length: Option<u64>, etag: Option<&'static str>) -> Head {
        Head { length, etag: etag.map(HeaderValue::from_static), ..Head::default() }
    }

    #[test]
    fn what_is_asked_for_again() {
        let wanted = |first, last, overlap, whole| Some(Resume { first, last, overlap, whole });
        for (received, head, slice, expected) in [
            (100, head(Some(1000), Some("\"a\"")), None, wanted(100, 999, 0, Some(1000))),
            (100, head(Some(1000), Some("W/\"a\"")), None, wanted(0, 999, 100, Some(1000))),
            (
                50_000,
                head(Some(60_000), None),
                None,
                wanted(50_000 - OVERLAP, 59_999, OVERLAP, Some(60_000)),
            ),
            (10, head(Some(100), Some("\"a\"")), Some((500, 599)), wanted(510, 599, 0, None)),
            (0, head(Some(100), None), None, wanted(0, 99, 0, Some(100))),
            (100, head(Some(100), None), None, None),
            (100, head(None, Some("\"a\"")), None, None),
        ] {
            assert_eq!(Resume::after(received, &head, slice), expected, "{received} {head:?}");
        }
    }

    #[test]
    fn what_must_come() {
        let resume = Resume { first: 10, last: 99, overlap: 5, whole: Some(100) };
        for (given, fits) in [
            ((10, 99, Some(100)), true),
            ((10, 99, None), true),
            ((10, 99, Some(101)), false),
            ((0, 99, Some(100)), false),
            ((10, 98, Some(100)), false),
        ] {
            assert_eq!(resume.fits(given), fits, "{given:?}");
        }
    }
}
