//! `/iptv/guide.xml`: the same sessions as an XMLTV guide. Every stream is a channel, and every
//! session is on each of them: which feeds a session will have is known when it begins.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use pitwall_upstream_map::documents::{Meeting, PublicStream, Schedule, Session, SessionStatus};

use super::Site;

/// A guide shows days, not seasons.
const BEHIND: SignedDuration = SignedDuration::from_hours(24);
const AHEAD: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The id of a stream's channel, also in the playlist.
pub(super) fn channel(stream: &PublicStream) -> String {
    format!("{}.pitwall", stream.id)
}

pub(super) fn write(
    schedule: &Schedule,
    streams: &[PublicStream],
    now: Timestamp,
    site: &Site,
) -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE tv SYSTEM \"xmltv.dtd\">\n\
         <tv generator-info-name=\"Pitwall\">\n",
    );
    for stream in streams {
        let (id, name) = (channel(stream), escape(&stream.feed));
        let url = escape(&site.url(&stream.playlist));
        let _ = writeln!(
            xml,
            "<channel id=\"{id}\"><display-name>{name}</display-name><url>{url}</url></channel>"
        );
    }
    let programmes = programmes(schedule, now);
    for stream in streams {
        for programme in &programmes {
            programme.write(&mut xml, &channel(stream));
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

/// In order, and none over another: a channel shows one thing at a time.
fn programmes(schedule: &Schedule, now: Timestamp) -> Vec<Programme<'_>> {
    let (from, to) = (now.checked_sub(BEHIND).ok(), now.checked_add(AHEAD).ok());
    let sessions = schedule
        .meetings
        .iter()
        .flat_map(|meeting| meeting.sessions.iter().map(move |session| (meeting, session)));
    let mut programmes: Vec<_> = sessions
        .filter(|(_, session)| session.status != SessionStatus::Cancelled)
        .filter_map(|(meeting, session)| {
            let start = session.start?;
            // One that overruns is on for as long as it may.
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
        let title = escape(&self.session.title());
        let _ = write!(
            xml,
            "<programme start=\"{start}\" stop=\"{stop}\" channel=\"{channel}\">\
             <title>{title}</title>"
        );
        if self.session.name != self.session.meeting {
            let _ = write!(xml, "<sub-title>{}</sub-title>", escape(&self.session.name));
        }
        let circuit = escape(&self.meeting.circuit.name);
        if !circuit.is_empty() {
            let _ = write!(xml, "<desc>{circuit}</desc>");
        }
        xml.push_str("<category lang=\"en\">Sports</category></programme>\n");
    }
}

/// Text of others as XML text or an attribute's value, without what XML cannot hold.
fn escape(text: &str) -> String {
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
