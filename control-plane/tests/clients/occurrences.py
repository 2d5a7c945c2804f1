"""Makes calendars from seeds, expands them with PyPI's recurring-ical-events, and prints one JSON object for each.

occurrences.py FIRST_SEED COUNT YEAR: the calendars, the occurrences that begin around YEAR, and how many events are malformed.
occurrences.py - YEAR: the occurrences of the calendar on standard input.

Where the library differs from RFC 5545, its answer is corrected here:
- The length of an event with a DTEND is exact, and so are the hours of a DURATION (3.8.5.3, 3.3.6). The library adds both to
  the time of day, which is an hour off across a change of offset.
- A recurring time in UTC stays in UTC (3.3.5). The library moves it to X-WR-TIMEZONE, so that none is made in such a calendar. It
  also takes times of a zone without TZNAME for times without a zone there, and forgets the RANGE of a RECURRENCE-ID that it
  moves. An UNTIL without a zone it takes for UTC then.
- A local time that does not occur has the offset before the gap (3.3.5). In zones that the calendar defines, the library takes the
  one behind it, so that these change at 13:00, when no event of theirs begins.
- An instance is named by its moment (3.8.5.1, 3.8.4.4). The library compares times of day of different zones too, so that an
  EXDATE of an hourly event leaves out another hour: `moments_only`.
- BYDAY with and without numbers in one rule, and BYWEEKNO without BYDAY, are not made: the library takes the first for both at
  once and the second for whole weeks. So are times that DTSTART is not one of in rules with COUNT, which the RFC leaves undefined.
"""
import datetime as dt
import json
import random
import sys
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events.adapters.component
import recurring_ical_events.series.rrule
from dateutil.rrule import rrulestr

UTC = dt.timezone.utc


def moments_only(module):
    all_ids = module.to_recurrence_ids
    module.to_recurrence_ids = lambda time: all_ids(time)[:1]


moments_only(recurring_ical_events.series.rrule)
moments_only(recurring_ical_events.adapters.component)
# Names of zones in the database, and of zones that each calendar defines: offsets, and the rules of both changes.
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Melbourne", "Asia/Kolkata", "America/Sao_Paulo", "Australia/Lord_Howe"]
OWN_ZONES = {
    "Track": ("+0200", "+0100", "-1SU;BYMONTH=10", "-1SU;BYMONTH=3"),
    "West of here": ("-0400", "-0500", "1SU;BYMONTH=11", "2SU;BYMONTH=3"),
    "South": ("+1300", "+1200", "1SU;BYMONTH=4", "-1SU;BYMONTH=9"),
    "Half past": ("+0530", "+0530", None, None),
}
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


def own_zone(name):
    summer, winter, ends, begins = OWN_ZONES[name]
    change = lambda kind, before, after, rule: (
        [f"BEGIN:{kind}", "DTSTART:19700101T130000", f"TZNAME:{kind}", f"TZOFFSETFROM:{before}", f"TZOFFSETTO:{after}"]
        + ([f"RRULE:FREQ=YEARLY;BYDAY={rule}"] if rule else []) + [f"END:{kind}"])
    lines = change("STANDARD", summer, winter, ends) + (change("DAYLIGHT", winter, summer, begins) if begins else [])
    return ["BEGIN:VTIMEZONE", f"TZID:{name}", *lines, "END:VTIMEZONE"]


class Maker:
    """One calendar. `zone` of an event: None for whole days, "" for times without a zone, "UTC", or a name."""

    def __init__(self, seed, year):
        self.random, self.year = random.Random(seed), year
        self.default_zone = self.random.choice([None, None, "Europe/Berlin", "America/New_York"])
        self.malformed = 0

    def chance(self, probability):
        return self.random.random() < probability

    def some(self, values, most):
        values = list(values)
        return sorted(self.random.sample(values, self.random.randint(1, min(most, len(values)))))

    def time(self, earliest, latest, whole_day):
        day = dt.date(earliest, 1, 1) + dt.timedelta(self.random.randrange(366 * (latest - earliest + 1) - 1))
        if whole_day:
            return dt.datetime.combine(day, dt.time())
        # Most often at night, when zones of the database change.
        hour = self.random.choice([0, 1, 2, 3, 2, self.random.choice([5, 6, 7, 8, 9, 16, 17, 20, 23])])
        return dt.datetime.combine(day, dt.time(hour, self.random.choice([0, 0, 30, 15])))

    def value(self, name, times, zone, in_utc=False, value=None):
        """A property with one or several local times."""
        def text(when):
            if isinstance(when, str):
                return when
            if zone is None or value == "DATE":
                return when.strftime("%Y%m%d")
            if in_utc:
                return when.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
            return when.strftime("%Y%m%dT%H%M%S") + ("Z" if zone == "UTC" else "")
        parameters = ";VALUE=DATE" if zone is None or value == "DATE" else f";VALUE={value}" if value else ""
        if zone not in (None, "", "UTC") and not in_utc and value != "DATE":
            parameters += f";TZID={zone}"
        return f"{name}{parameters}:" + ",".join(map(text, times))

    def weekdays(self, most=3):
        return ",".join(self.some(DAYS, most))

    def numbered_days(self, highest):
        return ",".join(f"{self.random.choice([1, 2, -1, -2, self.random.randint(1, highest)])}{day}" for day in self.some(DAYS, 2))

    def rule(self, whole_day, may_be_short=True):
        """The parts of a rule, without those that end it."""
        numbers = lambda values, most=3: ",".join(map(str, self.some(values, most)))
        freq = self.random.choice(["YEARLY", "MONTHLY", "WEEKLY", "DAILY"] * 4 + (["HOURLY", "MINUTELY", "SECONDLY"] if may_be_short else []))
        parts = {"FREQ": freq}
        if self.chance(0.4):
            parts["INTERVAL"] = self.random.randint(2, 5)
        if freq == "YEARLY":
            parts |= self.random.choice([
                {}, {"BYMONTH": numbers(range(1, 13))}, {"BYMONTH": numbers(range(1, 13)), "BYMONTHDAY": numbers(range(1, 32))},
                {"BYMONTH": numbers(range(1, 13)), "BYDAY": self.numbered_days(4)}, {"BYMONTH": numbers(range(1, 13)), "BYDAY": self.weekdays()},
                {"BYDAY": self.numbered_days(52)}, {"BYDAY": self.weekdays()}, {"BYYEARDAY": numbers([1, 60, 100, 200, 366, -1, -60, -366])},
                {"BYWEEKNO": numbers([1, 20, 52, 53, -1, -5]), "BYDAY": self.weekdays()}, {"BYMONTHDAY": numbers([1, 13, 29, 31, -1, -31])},
            ])
        elif freq == "MONTHLY":
            parts |= self.random.choice([
                {}, {"BYMONTHDAY": numbers([1, 13, 29, 30, 31, -1, -2, -31])}, {"BYDAY": self.numbered_days(5)}, {"BYDAY": self.weekdays(5)},
                {"BYDAY": self.weekdays(), "BYMONTHDAY": numbers(range(1, 32), 8)}, {"BYDAY": self.numbered_days(4), "BYMONTH": numbers(range(1, 13), 6)},
            ])
        elif freq == "WEEKLY":
            parts |= self.random.choice([{}, {"BYDAY": self.weekdays(5)}, {"BYDAY": self.weekdays(), "BYMONTH": numbers(range(1, 13), 6)}])
        else:
            parts |= self.random.choice([{}, {"BYDAY": self.weekdays(5)}, {"BYMONTHDAY": numbers(range(1, 32), 9)}, {"BYMONTH": numbers(range(1, 13), 6)}])
        if not whole_day and freq in ("YEARLY", "MONTHLY", "WEEKLY", "DAILY") and self.chance(0.2):
            parts["BYHOUR"] = numbers([1, 2, 3, 9, 18, 23])
        if not whole_day and freq in ("DAILY", "HOURLY") and self.chance(0.2):
            parts["BYMINUTE"] = numbers([0, 15, 30, 59])
        if "BYDAY" in parts or "BYMONTHDAY" in parts or "BYHOUR" in parts:
            if freq in ("YEARLY", "MONTHLY", "WEEKLY") and self.chance(0.3):
                parts["BYSETPOS"] = numbers([1, 2, 3, -1, -2], 2)
        if self.chance(0.3):
            parts["WKST"] = self.random.choice(DAYS)
        return parts

    def length(self, start, zone):
        """The lines that say how long an event lasts, of which a last one tells `correct_end` so."""
        kind = self.random.choice(["none", "end", "end", "duration"])
        if zone is None:
            days = self.random.randint(1, 4)
            if kind == "end":
                return [self.value("DTEND", [start + dt.timedelta(days)], zone), "X-LENGTH:end"]
            return [f"DURATION:P{days}D", "X-LENGTH:end"] if kind == "duration" else ["X-LENGTH:end"]
        if kind == "end":
            return [self.value("DTEND", [start + dt.timedelta(minutes=self.random.choice([30, 90, 300, 3000]))], zone), "X-LENGTH:end"]
        # A period of RDATE has a length of its own, so that `correct_end` leaves the ends of events in UTC alone.
        days, hours = self.random.choice([(0, 2), (0, 36)] + ([(1, 0), (1, 3), (7, 0)] if zone != "UTC" else []))
        text = "P" + (f"{days}D" if days else "") + (f"T{hours}H" if hours else "")
        return [f"DURATION:{text}", f"X-LENGTH:{days} {hours}"] if kind == "duration" and zone != "UTC" else [f"DURATION:{text}" if kind == "duration" else "X-A:b", "X-LENGTH:end"]

    def event(self, uid):
        zone = self.random.choice([None, "", "UTC", *ZONES, *OWN_ZONES])
        recurs = self.chance(0.8) and not (zone == "UTC" and self.default_zone)
        start = self.time(self.year - self.random.choice([0, 0, 1, 7]), self.year, zone is None)
        lines, starts = [], [start]
        for _ in range(2 if recurs and self.chance(0.1) else int(recurs)):
            parts = self.rule(zone is None, zone is not None and zone not in OWN_ZONES)
            bare = lambda: ";".join(f"{name}={value}" for name, value in parts.items())
            is_short = parts["FREQ"] in ("HOURLY", "MINUTELY", "SECONDLY")
            # The library follows a rule that names no day to the year 9999, so that none is made.
            horizon = dt.timedelta(days=3 if is_short else 366 * 9)
            expand = lambda count: list(rrulestr(bare(), dtstart=start).replace(until=start + horizon).xafter(start, count, inc=True))
            first = next(iter(expand(1)), None)
            if not first:
                continue
            is_synchronized = first == start
            if not lines and self.chance(0.8):
                start, starts, is_synchronized = first, [first], True
            kind = self.random.choice(["COUNT", "UNTIL", "UNTIL", ""])
            if is_short or (kind == "COUNT" and is_synchronized):
                parts["COUNT"] = self.random.randint(1, 30)
                if not is_synchronized:
                    continue
            elif kind == "UNTIL" and not (zone == "" and self.default_zone):
                last = start + dt.timedelta(days=self.random.randint(0, 1500))
                steps = expand(40)
                last = self.random.choice(steps) if steps and self.chance(0.5) else last
                parts["UNTIL"] = self.value("", [last], zone, zone not in (None, "", "UTC", *OWN_ZONES)).partition(":")[2]
                if zone in OWN_ZONES:
                    parts["UNTIL"] = self.own_utc(last, zone)
            lines.append("RRULE:" + bare())
            parts.pop("UNTIL", None)
            starts += expand(60)
        head = [self.value("DTSTART", [start], zone), *self.length(start, zone)]
        excluded = set()
        if recurs and self.chance(0.4):
            excluded = set(self.random.sample(starts, min(len(starts), self.random.randint(1, 4))))
            in_utc = zone in ZONES and self.chance(0.4)
            if zone and self.chance(0.2):
                lines.append(self.value("EXDATE", sorted(excluded), zone, value="DATE"))
                days = {when.date() for when in excluded}
                excluded |= {when for when in starts if when.date() in days}
            else:
                lines.append(self.value("EXDATE", sorted(excluded), zone, in_utc))
        if recurs and self.chance(0.3):
            added = [self.time(self.year, self.year, zone is None) for _ in range(self.random.randint(1, 3))]
            if zone == "UTC" and self.chance(0.4):
                lengths = [self.random.choice(["/PT45M", "/P1D", "/" + (when + dt.timedelta(hours=5)).strftime("%Y%m%dT%H%M%SZ")]) for when in added]
                periods = [when.strftime("%Y%m%dT%H%M%SZ") + length for when, length in zip(added, lengths)]
                lines.append(self.value("RDATE", periods, zone, value="PERIOD"))
            else:
                # Days of a length count by the event's zone, or by that of the date.
                has_days = "X-LENGTH:end" not in head
                lines.append(self.value("RDATE", added, zone, zone in ZONES and not has_days and self.chance(0.3)))
                starts += added
        events = [["BEGIN:VEVENT", f"UID:{uid}", *head, *lines]]
        if self.chance(0.3):
            # An older revision, which is not listed.
            older = ["BEGIN:VEVENT", f"UID:{uid}", self.value("DTSTART", [self.time(self.year, self.year, zone is None)], zone), "X-LENGTH:end", "SEQUENCE:1"]
            events[0].append("SEQUENCE:3")
            events.insert(self.random.randint(0, 1), older)
        if self.chance(0.1):
            events[-1].append("STATUS:" + self.random.choice(["CANCELLED", "CONFIRMED"]))
        held = sorted({when for when in starts if when not in excluded})
        if recurs and held and self.chance(0.5):
            for when in self.random.sample(held, min(len(held), self.random.randint(1, 3))):
                events.append(self.override(uid, zone, when))
        return ["\n".join([*event, "DTSTAMP:20260101T000000Z", f"SUMMARY:{uid}", "END:VEVENT"]) for event in events]

    def override(self, uid, zone, when):
        is_range = self.chance(0.3)
        in_utc = zone in ZONES and self.chance(0.4) and not (is_range and self.default_zone)
        is_range = is_range and not (zone == "" and self.default_zone)
        identifier = self.value("RECURRENCE-ID", [when], zone, in_utc)
        if is_range:
            identifier = identifier.replace("RECURRENCE-ID", "RECURRENCE-ID;RANGE=THISANDFUTURE")
        moved = when + dt.timedelta(days=self.random.randint(-3, 3), minutes=self.random.choice([0, 90, -60]) if zone is not None else 0)
        lines = ["BEGIN:VEVENT", f"UID:{uid}", identifier, self.value("DTSTART", [moved], zone), *self.length(moved, zone), f"SEQUENCE:{self.random.randint(3, 6)}"]
        return lines + (["STATUS:CANCELLED"] if self.chance(0.3) else [])

    def own_utc(self, when, zone):
        calendar = icalendar.Calendar.from_ical("\n".join(["BEGIN:VCALENDAR", *own_zone(zone), "END:VCALENDAR"]))
        return when.replace(tzinfo=calendar.timezones[0].to_tz()).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")

    def malformed_event(self, uid):
        line = self.random.choice(["DTSTART:tomorrow", "LOCATION:nowhere", "DTSTART:20260231T120000Z", "DTSTART;TZID=Middle/Earth:20260301T120000",
                                   "DTSTART:20260301T120000Z\nRRULE:FREQ=SOMETIMES",
                                   "DTSTART:20260301T120000Z\nRRULE:FREQ=DAILY;BYMONTH=13", "DTSTART:20260301T120000Z\nRRULE:COUNT=3"])
        self.malformed += 1
        return "\n".join(["BEGIN:VEVENT", f"UID:{uid}", line, f"SUMMARY:{uid}", "END:VEVENT"])

    def make(self):
        """The calendar, and the same without its malformed events."""
        head = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN"] + ([f"X-WR-TIMEZONE:{self.default_zone}"] if self.default_zone else [])
        zones = [line for name in OWN_ZONES for line in own_zone(name)]
        events = [self.event(f"event-{number}") for number in range(self.random.randint(1, 3))]
        parts = [part for event in events for part in event]
        self.random.shuffle(parts)
        wrap = lambda parts: "\r\n".join("\n".join([*head, *zones, *parts, "END:VCALENDAR", ""]).split("\n"))
        sound = wrap(parts)
        for number in range(self.random.choice([0, 0, 1, 2])):
            parts.insert(self.random.randint(0, len(parts)), self.malformed_event(f"malformed-{number}"))
        return wrap(parts), sound


def correct_end(event):
    start, end, length = event["DTSTART"].dt, event["DTEND"].dt, str(event["X-LENGTH"])
    if not isinstance(start, dt.datetime):
        return start, None if end - start <= dt.timedelta(1) else end - dt.timedelta(1)
    # A time without a zone is in X-WR-TIMEZONE, which the library has applied, or in UTC.
    moment = lambda when: (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    if length == "end":
        own = event["X-EXACT"] if "X-EXACT" in event else None
        end = moment(start) + dt.timedelta(seconds=int(own)) if own is not None else moment(end)
    else:
        days, hours = map(int, length.split())
        end = moment(start + dt.timedelta(days)) + dt.timedelta(hours=hours)
    start = moment(start)
    return start, end if end > start else None


def occurrences(text, year):
    calendar = icalendar.Calendar.from_ical(text)
    for event in calendar.walk("VEVENT"):
        start, end = event.get("DTSTART"), event.get("DTEND")
        if start and end and isinstance(start.dt, dt.datetime) and start.dt.tzname() != "UTC":
            zone = ZoneInfo(str(calendar.get("X-WR-TIMEZONE", "UTC")))
            moment = lambda when: (when if when.tzinfo else when.replace(tzinfo=zone)).astimezone(UTC)
            event.add("X-EXACT", str(int((moment(end.dt) - moment(start.dt)).total_seconds())))
    first, last = dt.date(year, 1, 1) - dt.timedelta(62), dt.date(year, 12, 31) + dt.timedelta(62)
    listed = []
    for event in recurring_ical_events.of(calendar).between(first - dt.timedelta(9), last + dt.timedelta(9)):
        start, end = correct_end(event)
        day = start.date() if isinstance(start, dt.datetime) else start
        if first <= day <= last:
            write = lambda when: when.isoformat().replace("+00:00", "Z")
            cancelled = " x" if event.get("STATUS") == "CANCELLED" else ""
            listed.append(f"{event['UID']} {write(start)}" + (f" to {write(end)}" if end else "") + cancelled)
    return sorted(listed)


if __name__ == "__main__":
    *arguments, year = sys.argv[1:]
    if arguments == ["-"]:
        print("\n".join(occurrences(sys.stdin.read(), int(year))))
    else:
        first, count = map(int, arguments)
        for seed in range(first, first + count):
            maker = Maker(seed, int(year))
            text, sound = maker.make()
            print(json.dumps({"seed": seed, "calendar": text, "occurrences": occurrences(sound, int(year)), "malformed": maker.malformed}))
