#!/usr/bin/env bash
# Two libraries find no day at all for a rule of a calendar that names weekdays with and without numbers.
#
# One would guess that BYDAY=MO,1TU of a monthly rule means each Monday and the first Tuesday. RFC 5545 (3.3.10) says so:
# BYDAY is a list of weekdays, "each" of which may have a number, and one without a number is all such days of the
# month. python-dateutil (PyPI) and rrule (npm) keep the days without numbers and those with numbers apart and take
# what is in both: no day is a Monday and a Tuesday. ical.js (npm) reads the rule as the standard says. Both of the
# others read BYWEEKNO=20,21 without BYDAY as all seven days of these weeks, where the day comes from the start.
#
# How the field is touched: these libraries expand calendars in players, guides and recorders, and what was ported
# from them behaves likewise. The calendar is valid, nothing is logged, and the event is not on: a recording or a
# stream that a calendar starts never begins.
set -euo pipefail

DATEUTIL=2.9.0.post0 RRULE=2.8.1 ICAL_JS=2.2.1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "python-dateutil==$DATEUTIL"
npm install --silent --no-audit --no-fund --prefix . "rrule@$RRULE" "ical.js@$ICAL_JS" >/dev/null

cat >expand.py <<'PY'
import datetime, sys
from dateutil.rrule import rrulestr
start = datetime.datetime.strptime(sys.argv[1], "%Y%m%d")
days = rrulestr(sys.argv[2], dtstart=start).between(start, datetime.datetime(1998, 1, 1), inc=True)
print(" ".join(day.strftime("%m-%d") for day in days))
PY
cat >rrule.mjs <<'JS'
import library from 'rrule';
const [start, rule] = process.argv.slice(2);
const days = library.rrulestr(`DTSTART:${start}T000000Z\nRRULE:${rule}`).between(new Date('1997-01-01'), new Date('1998-01-01'));
console.log(days.map((day) => day.toISOString().slice(5, 10)).join(' '));
JS
cat >ical.mjs <<'JS'
import ICAL from 'ical.js';
const [start, rule] = process.argv.slice(2);
const first = ICAL.Time.fromDateString(start.replace(/(....)(..)(..)/, '$1-$2-$3'));
const days = ICAL.Recur.fromString(rule).iterator(first);
const found = [];
for (let day = days.next(); day; day = days.next()) found.push(day.toString().slice(5, 10));
console.log(found.join(' '));
JS
wrong=0
expect() { # expect PROGRAM START RULE DAYS
  local days
  days=$($1 "$2" "FREQ=$3")
  printf '%-24s %-32s %s\n' "$1" "$3" "${days:-no day}"
  [ "$days" = "$4" ] || { echo "  expected: ${4:-no day}"; wrong=1; }
}
both='MONTHLY;BYDAY=MO,1TU;COUNT=8'
expect "venv/bin/python expand.py" 19970901 "$both" ''
expect "node rrule.mjs" 19970901 "$both" ''
expect "node ical.mjs" 19970901 "$both" '09-01 09-02 09-08 09-15 09-22 09-29 10-06 10-07'
week='YEARLY;BYWEEKNO=20,21;COUNT=2'
expect "venv/bin/python expand.py" 19970512 "$week" '05-12 05-13'
expect "node rrule.mjs" 19970512 "$week" '05-12 05-13'
exit $wrong
