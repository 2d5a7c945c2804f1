//! `/iptv/guide.xml`: the sessions as an XMLTV guide. Every stream is a channel and every session
//! is on each of them, as the feeds of a session are known only when it begins.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use pitwall_upstream_map::documents::{Meeting, Schedule, Session, SessionStatus};
use pitwall_upstream_map::{Stream, StreamId};

use super::{PublicUrl, playlist_path};

/// The guide covers this time before and after now, not the whole season.
const GUIDE_PAST_SPAN: SignedDuration = SignedDuration::from_hours(24);
const GUIDE_FUTURE_SPAN: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The id of a stream's channel, in the guide and the IPTV playlist.
pub(super) fn channel_id(stream: &StreamId) -> String {
    format!("{stream}.pitwall")
}

pub(crate) fn write_xmltv(
    schedule: &Schedule,
    streams: &[&Stream],
    now: Timestamp,
    public_url: &PublicUrl,
) -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE tv SYSTEM \"xmltv.dtd\">\n\
         <tv generator-info-name=\"Pitwall\">\n",
    );
    for stream in streams {
        let (id, name) = (channel_id(&stream.id), escape_xml(&stream.feed));
        let url = escape_xml(&public_url.absolute_url(&playlist_path(&stream.id)));
        let _ = writeln!(
            xml,
            "<channel id=\"{id}\"><display-name>{name}</display-name><url>{url}</url></channel>"
        );
    }
    let programmes = list_programmes(schedule, now);
    for stream in streams {
        for programme in &programmes {
            programme.write(&mut xml, &channel_id(&stream.id));
        }
    }
    xml.push_str("</tv>\n");
    xml
}

struct Programme<'a> {
    meeting: &'a Meeting,
    session: &'a Session,
    start: Timestamp,
    stop: Timestamp,
}

/// Programmes in order and without overlap, as a channel shows one programme at a time.
fn list_programmes(schedule: &Schedule, now: Timestamp) -> Vec<Programme<'_>> {
    let (from, to) =
        (now.checked_sub(GUIDE_PAST_SPAN).ok(), now.checked_add(GUIDE_FUTURE_SPAN).ok());
    let sessions = schedule
        .meetings
        .iter()
        .flat_map(|meeting| meeting.sessions.iter().map(move |session| (meeting, session)));
    let mut programmes: Vec<_> = sessions
        .filter(|(_, session)| session.status != SessionStatus::Cancelled)
        .filter_map(|(meeting, session)| {
            let start = session.start?;
            // A session that overruns is listed until its live window ends.
            let stop = if session.overrun { session.live_until } else { session.end }?;
            let near = from.is_some_and(|from| from < stop) && to.is_some_and(|to| start < to);
            near.then_some(Programme { meeting, session, start, stop })
        })
        .collect();
    programmes.sort_by_key(|programme| programme.start);
    let starts: Vec<_> = programmes.iter().skip(1).map(|next| next.start).collect();
    for (programme, next) in programmes.iter_mut().zip(starts) {
        programme.stop = programme.stop.min(next);
    }
    programmes.retain(|programme| programme.start < programme.stop);
    programmes
}

impl Programme<'_> {
    fn write(&self, xml: &mut String, channel: &str) {
        let time = |at: Timestamp| at.strftime("%Y%m%d%H%M%S +0000").to_string();
        let (start, stop) = (time(self.start), time(self.stop));
        let title = escape_xml(&self.session.title());
        let _ = write!(
            xml,
            "<programme start=\"{start}\" stop=\"{stop}\" channel=\"{channel}\">\
             <title>{title}</title>"
        );
        if self.session.name != self.session.meeting {
            let _ = write!(xml, "<sub-title>{}</sub-title>", escape_xml(&self.session.name));
        }
        let circuit = escape_xml(&self.meeting.circuit.name);
        if !circuit.is_empty() {
            let _ = write!(xml, "<desc>{circuit}</desc>");
        }
        xml.push_str("<category lang=\"en\">Sports</category></programme>\n");
    }
}

/// Escapes text for XML content or an attribute value and removes characters that XML cannot
/// contain.
fn escape_xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}
