"""Reads a calendar with PyPI's icalendar and a guide against XMLTV's own schema; prints both as JSON."""
import json
import pathlib
import sys

import icalendar
import lxml.etree
import xmltv

calendar = icalendar.Calendar.from_ical(pathlib.Path(sys.argv[1]).read_bytes())
events = calendar.walk("VEVENT")
required = {"UID", "DTSTAMP", "DTSTART", "SUMMARY", "SEQUENCE", "STATUS"}
errors = [str(error) for part in calendar.walk() for error in part.errors]
errors += [f"{event.get('UID')} lacks {missing}" for event in events for missing in required - set(event)]

schema = lxml.etree.XMLSchema(file=str(pathlib.Path(xmltv.__file__).parent / "resources/xmltv.xsd"))
guide = lxml.etree.parse(sys.argv[2])
if not schema.validate(guide):
    errors += [str(error) for error in schema.error_log]

json.dump({
    "method": str(calendar["METHOD"]),
    "errors": errors,
    "events": [{
        "uid": str(event["UID"]),
        "sequence": int(event["SEQUENCE"]),
        "stamp": event["DTSTAMP"].dt.isoformat(),
        "start": event.start.isoformat(),
        "end": event.end.isoformat(),
        "status": str(event["STATUS"]),
        "location": str(event.get("LOCATION", "")),
        "description": str(event.get("DESCRIPTION", "")),
        "url": str(event["URL"]),
    } for event in events],
    "channels": [channel.get("id") for channel in guide.iter("channel")],
    "names": [name.text for name in guide.iter("display-name")],
    "programmes": [
        [programme.get("channel"), programme.get("start"), programme.get("stop"), programme.findtext("title")]
        for programme in guide.iter("programme")
    ],
}, sys.stdout)
