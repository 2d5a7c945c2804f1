//! Who is believed on a session: whoever corrected it last; while nobody did, what most say, and
//! of those the most trusted.

use jiff::Timestamp;
use pitwall_upstream_map::documents;

use crate::schedule::calendar::{Slot, apart};

#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) source: &'a str,
    pub(crate) slot: &'a Slot,
}

pub(crate) struct Choice<'a> {
    pub(crate) claim: Claim<'a>,
    pub(crate) name: &'a str,
    /// Where somebody who is right about the start knows it.
    pub(crate) end: Option<Timestamp>,
    pub(crate) disagreement: Vec<documents::Claim>,
}

/// Claims come most trusted first.
pub(crate) fn of<'a>(claims: &[Claim<'a>]) -> Option<Choice<'a>> {
    let name = &claims.first()?.slot.name;
    // Not to know a time is not to contradict it.
    let timed = claims.iter().any(|claim| claim.slot.start.is_some());
    let says = |claim: &&Claim<'a>| !timed || claim.slot.start.is_some() || claim.slot.cancelled;
    let candidates: Vec<Claim<'a>> = claims.iter().filter(says).copied().collect();
    let claim = latest(&candidates).or_else(|| most(&candidates))?;
    let end = claims.iter().filter(|other| other.slot.start == claim.slot.start);
    let end = end.filter(|_| claim.slot.start.is_some()).find_map(|other| other.slot.end);
    let disagreement = claims.iter().filter(|other| contradicts(other.slot, claim.slot));
    let disagreement = disagreement.map(|other| documents::Claim {
        source: other.source.to_owned(),
        start: other.slot.start,
        date: other.slot.date,
        cancelled: other.slot.cancelled,
    });
    Some(Choice { claim, name, end, disagreement: disagreement.collect() })
}

fn latest<'a>(claims: &[Claim<'a>]) -> Option<Claim<'a>> {
    let corrected = claims.iter().filter(|claim| claim.slot.corrected_at.is_some());
    // Of equals the last one is taken: the most trusted, from behind.
    corrected.rev().max_by_key(|claim| claim.slot.corrected_at).copied()
}

fn most<'a>(claims: &[Claim<'a>]) -> Option<Claim<'a>> {
    let votes = |claim: &Claim<'_>| {
        claims.iter().filter(|other| !contradicts(other.slot, claim.slot)).count()
    };
    claims.iter().rev().max_by_key(|claim| votes(claim)).copied()
}

fn contradicts(one: &Slot, other: &Slot) -> bool {
    if one.cancelled != other.cancelled {
        return true;
    }
    match (one.start, other.start) {
        (Some(one), Some(other)) => one != other,
        // A day that is local to the track may be the next one elsewhere.
        _ => apart(one.date, other.date) > 1,
    }
}
