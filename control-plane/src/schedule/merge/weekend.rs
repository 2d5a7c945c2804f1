//! Which meetings of different sources are one. Ids are no help: only one source knows them.

use std::collections::BTreeSet;

use pitwall_upstream_map::slug::fold;

use super::choice::Claim;
use crate::schedule::calendar::{Listed, apart, days};
use crate::schedule::opinion::Opinion;

/// How far a race may be moved and still be recognised by its name. A race that is back after
/// months is another one.
const MOVED_DAYS: i32 = 10;

/// One meeting, as every source that knows it lists it; the most trusted first.
pub(crate) struct Weekend<'a> {
    said: Vec<(&'a str, &'a Listed)>,
}

impl<'a> Weekend<'a> {
    pub(crate) fn lead(&self) -> &'a Listed {
        // Made from one, and only added to.
        #[expect(clippy::indexing_slicing, reason = "never empty")]
        self.said[0].1
    }

    pub(crate) fn listed(&self) -> impl Iterator<Item = &'a Listed> {
        self.said.iter().map(|(_, listed)| *listed)
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = &'a str> {
        self.said.iter().map(|(source, _)| *source)
    }

    /// Of every session, each once.
    pub(crate) fn codes(&self) -> BTreeSet<String> {
        self.listed().flat_map(|listed| &listed.slots).map(|slot| slot.code.clone()).collect()
    }

    pub(crate) fn claims(&self, code: &str) -> Vec<Claim<'a>> {
        let claim = |(source, listed): &(&'a str, &'a Listed)| {
            let slot = listed.slots.iter().find(|slot| slot.code == code)?;
            Some(Claim { source, slot })
        };
        self.said.iter().filter_map(claim).collect()
    }

    /// How many days off it is what another source lists. A source does not list one thing twice:
    /// two tests of one name within days are two.
    fn is(&self, source: &str, other: &Listed) -> Option<i32> {
        if self.listed().any(|one| one.id == other.id) {
            return Some(0);
        }
        let by_others = self.said.iter().all(|(by, _)| *by != source);
        let same = self.listed().filter(|one| by_others && one.series);
        same.filter_map(|one| same_race(one, other)).min()
    }

    /// The part of a weekend that is no session of the championship's own, such as a show.
    fn spans(&self, extra: &Listed) -> bool {
        let Some(day) = extra.anchor().filter(|_| extra.race().is_none()) else { return false };
        let lead = self.lead();
        let Some(race) = lead.race().filter(|_| lead.series && extra.series) else { return false };
        let first = lead.slots.iter().map(|slot| slot.date).min().unwrap_or(race.date);
        days(first, -1) <= day && day <= days(race.date, 1)
    }
}

/// Every opinion's meetings, the same ones together.
pub(crate) fn align<'a>(opinions: &[&'a Opinion], season: Option<&str>) -> Vec<Weekend<'a>> {
    let mut weekends: Vec<Weekend<'a>> = Vec::new();
    // Races first, of everybody: what else there is finds its weekend by them.
    for races in [true, false] {
        for opinion in opinions {
            let calendar = &opinion.calendar;
            if calendar.season.is_some() && calendar.season.as_deref() != season {
                continue;
            }
            let source = opinion.provider.as_str();
            let meetings = calendar
                .meetings
                .iter()
                .filter(|one| one.race().is_some() == races)
                .filter(|one| !one.series || in_season(one, season));
            for listed in meetings {
                match find(&mut weekends, source, listed) {
                    Some(weekend) => weekend.said.push((source, listed)),
                    None => weekends.push(Weekend { said: vec![(source, listed)] }),
                }
            }
        }
    }
    weekends
}

/// The nearest one that it is, else the one that it is a part of.
fn find<'w, 'a>(
    weekends: &'w mut [Weekend<'a>],
    source: &str,
    listed: &Listed,
) -> Option<&'w mut Weekend<'a>> {
    let off = weekends.iter().enumerate();
    let nearest = off.filter_map(|(at, one)| Some((one.is(source, listed)?, at))).min();
    let at = nearest.map(|(_, at)| at);
    let at = at.or_else(|| weekends.iter().position(|one| one.spans(listed)))?;
    weekends.get_mut(at)
}

/// A calendar of anything tells the races of other years too.
fn in_season(listed: &Listed, season: Option<&str>) -> bool {
    season.is_none_or(|season| listed.id.split(':').next() == Some(season))
}

/// How many days apart two are that are the same race: by its day, or by its name when it moved by
/// days.
fn same_race(one: &Listed, other: &Listed) -> Option<i32> {
    let off = apart(one.anchor()?, other.anchor()?);
    let both = one.series && other.series && one.race().is_some() == other.race().is_some();
    let on_its_day = off <= 1 && one.race().is_some();
    let is = both && (on_its_day || (off <= MOVED_DAYS && alike(&one.name, &other.name)));
    is.then_some(off)
}

/// What is left of one name is part of the other: "Miami Grand Prix" and "FORMULA 1 CRYPTO.COM
/// MIAMI GRAND PRIX 2026".
pub(crate) fn alike(one: &str, other: &str) -> bool {
    let (one, other) = (words(one), words(other));
    !one.is_empty() && !other.is_empty() && (one.is_subset(&other) || other.is_subset(&one))
}

fn words(name: &str) -> BTreeSet<String> {
    const SAYS_NOTHING: [&str; 9] =
        ["grand", "prix", "gp", "formula", "f1", "1", "the", "of", "race"];
    fold(name)
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty() && !SAYS_NOTHING.contains(word))
        .filter(|word| !(word.len() == 4 && word.parse::<u16>().is_ok()))
        .map(str::to_owned)
        .collect()
}
