//! Chooses the provider whose claim on a session is believed: the one that corrected it last, or
//! without a correction the most trusted one of the majority.

use jiff::Timestamp;
use pitwall_upstream_map::documents;

use crate::schedule::calendar::{ProviderSession, days_between};

/// A session as one provider lists it.
#[derive(Clone, Copy)]
pub(crate) struct SessionClaim<'a> {
    pub(crate) provider: &'a str,
    pub(crate) session: &'a ProviderSession,
}

/// The claim that is believed, and the claims that contradict it.
pub(crate) struct SessionChoice<'a> {
    pub(crate) claim: SessionClaim<'a>,
    pub(crate) name: &'a str,
    /// The end, if a provider that agrees on the start lists one.
    pub(crate) end: Option<Timestamp>,
    pub(crate) disagreement: Vec<documents::Claim>,
}

/// Chooses among `claims`, of which that of the most trusted provider comes first.
pub(crate) fn choose_claim<'a>(claims: &[SessionClaim<'a>]) -> Option<SessionChoice<'a>> {
    let name = &claims.first()?.session.name;
    // A claim without a start does not contradict one with a start, and is no candidate beside it.
    let any_timed = claims.iter().any(|claim| claim.session.start.is_some());
    let is_candidate = |claim: &&SessionClaim<'a>| {
        !any_timed || claim.session.start.is_some() || claim.session.cancelled
    };
    let candidates: Vec<SessionClaim<'a>> = claims.iter().filter(is_candidate).copied().collect();
    let claim = latest_correction(&candidates).or_else(|| majority_claim(&candidates))?;
    let end = claims.iter().filter(|other| other.session.start == claim.session.start);
    let end = end.filter(|_| claim.session.start.is_some()).find_map(|other| other.session.end);
    let disagreement = claims.iter().filter(|other| is_contradicting(other.session, claim.session));
    let disagreement = disagreement.map(|other| documents::Claim {
        source: other.provider.to_owned(),
        start: other.session.start,
        date: other.session.date,
        cancelled: other.session.cancelled,
    });
    Some(SessionChoice { claim, name, end, disagreement: disagreement.collect() })
}

fn latest_correction<'a>(claims: &[SessionClaim<'a>]) -> Option<SessionClaim<'a>> {
    let corrected = claims.iter().filter(|claim| claim.session.corrected_at.is_some());
    // `max_by_key` returns the last of equals, which in reverse order is the most trusted one.
    corrected.rev().max_by_key(|claim| claim.session.corrected_at).copied()
}

fn majority_claim<'a>(claims: &[SessionClaim<'a>]) -> Option<SessionClaim<'a>> {
    let votes = |claim: &SessionClaim<'_>| {
        claims.iter().filter(|other| !is_contradicting(other.session, claim.session)).count()
    };
    claims.iter().rev().max_by_key(|claim| votes(claim)).copied()
}

fn is_contradicting(one: &ProviderSession, other: &ProviderSession) -> bool {
    if one.cancelled != other.cancelled {
        return true;
    }
    match (one.start, other.start) {
        (Some(one), Some(other)) => one != other,
        // A date local to the circuit may differ by a day from one in UTC.
        _ => days_apart(one, other) > 1,
    }
}

/// The number of days between two sessions, of which each may take several.
fn days_apart(one: &ProviderSession, other: &ProviderSession) -> i32 {
    let (first, second) = if one.date <= other.date { (one, other) } else { (other, one) };
    match first.last_day() < second.date {
        true => days_between(first.last_day(), second.date),
        false => 0,
    }
}
