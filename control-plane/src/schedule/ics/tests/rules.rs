//! The examples of RFC 5545, 3.8.5.3, as far as they are around 1997, and rules that libraries read
//! otherwise.

use super::*;

/// Instances at 09:00; days of 1997, unless a year stands before them.
const RULES: &[(&str, &str, &str)] = &[
    ("0902", "DAILY;COUNT=10", "0902 0903 0904 0905 0906 0907 0908 0909 0910 0911"),
    ("0902", "DAILY;INTERVAL=10;COUNT=5", "0902 0912 0922 1002 1012"),
    ("0902", "WEEKLY;COUNT=10", "0902 0909 0916 0923 0930 1007 1014 1021 1028 1104"),
    (
        "0902",
        "WEEKLY;COUNT=10;WKST=SU;BYDAY=TU,TH",
        "0902 0904 0909 0911 0916 0918 0923 0925 0930 1002",
    ),
    (
        "0901",
        "WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",
        "0901 0903 0905 0915 0917 0919 0929 1001 1003 1013 1015 1017 1027 1029 1031 1110 1112 \
         1114 1124 1126 1128 1208 1210 1212 1222",
    ),
    (
        "0902",
        "WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",
        "0902 0904 0916 0918 0930 1002 1014 1016",
    ),
    ("0905", "MONTHLY;COUNT=6;BYDAY=1FR", "0905 1003 1107 1205 1998-0102 1998-0206"),
    ("0905", "MONTHLY;UNTIL=19971224T000000Z;BYDAY=1FR", "0905 1003 1107 1205"),
    (
        "0907",
        "MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
        "0907 0928 1102 1130 1998-0104 1998-0125 1998-0301",
    ),
    ("0922", "MONTHLY;COUNT=6;BYDAY=-2MO", "0922 1020 1117 1222 1998-0119 1998-0216"),
    ("0928", "MONTHLY;BYMONTHDAY=-3", "0928 1029 1128 1229 1998-0129 1998-0226"),
    (
        "0902",
        "MONTHLY;COUNT=10;BYMONTHDAY=2,15",
        "0902 0915 1002 1015 1102 1115 1202 1215 1998-0102 1998-0115",
    ),
    (
        "0930",
        "MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
        "0930 1001 1031 1101 1130 1201 1231 1998-0101 1998-0131 1998-0201",
    ),
    (
        "0910",
        "MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
        "0910 0911 0912 0913 0914 0915",
    ),
    (
        "0902",
        "MONTHLY;INTERVAL=2;BYDAY=TU",
        "0902 0909 0916 0923 0930 1104 1111 1118 1125 1998-0106 1998-0113 1998-0120 1998-0127 \
         1998-0303",
    ),
    ("0610", "YEARLY;COUNT=10;BYMONTH=6,7", "0610 0710"),
    ("0310", "YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3", "0310"),
    ("0101", "YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200", "0101 0410 0719"),
    ("0519", "YEARLY;BYDAY=20MO", "0519"),
    ("0512", "YEARLY;BYWEEKNO=20;BYDAY=MO", "0512"),
    ("0313", "YEARLY;BYMONTH=3;BYDAY=TH", "0313 0320 0327"),
    (
        "0605",
        "YEARLY;BYDAY=TH;BYMONTH=6,7,8",
        "0605 0612 0619 0626 0703 0710 0717 0724 0731 0807 0814 0821 0828",
    ),
    ("0902", "MONTHLY;BYDAY=FR;BYMONTHDAY=13", "0902 1998-0213"),
    (
        "0913",
        "MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13",
        "0913 1011 1108 1213 1998-0110 1998-0207",
    ),
    ("0904", "MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "0904 1007 1106"),
    ("0929", "MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2", "0929 1030 1127 1230 1998-0129 1998-0226"),
    ("0805", "WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "0805 0810 0819 0824"),
    ("0805", "WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "0805 0817 0819 0831"),
    ("0115", "MONTHLY;BYMONTHDAY=15,30;COUNT=5", "0115 0130 0215 0315 0330"),
    // With and without a number: each Monday, and the first Tuesday.
    ("0901", "MONTHLY;BYDAY=MO,1TU;COUNT=8", "0901 0902 0908 0915 0922 0929 1006 1007"),
    ("0929", "MONTHLY;BYDAY=MO,-1MO,1TU;BYSETPOS=-1;COUNT=3", "0929 1027 1124"),
    ("0106", "YEARLY;BYDAY=1MO,FR;BYMONTH=1;COUNT=6", "0106 0110 0117 0124 0131 1998-0102"),
    // Days of the start's weekday, and numbers where RFC 5545 allows none.
    ("0512", "YEARLY;BYWEEKNO=20,21", "0512 0519"),
    ("0901", "WEEKLY;BYDAY=1MO;COUNT=2", "0901 0908"),
    // A start that the rule does not name.
    ("0902", "WEEKLY;BYDAY=TH;UNTIL=19970918T130000Z", "0902 0904 0911 0918"),
    ("0902", "MONTHLY;BYMONTHDAY=31;BYMONTH=2", "0902"),
    // A rule may write its parts in any order, and in lower case.
    ("0902", "weekly;until=19970909t130000z", "0902 0909"),
    ("0902", "DAILY;COUNT=2;BYHOUR=9,18;BYMINUTE=0", "0902 0902"),
];

#[test]
fn examples_of_the_standard() {
    for (start, rule, expected) in RULES {
        let text = wrap_calendar(&wrap_event(&format!(
            "SUMMARY:A\r\nDTSTART:1997{start}T090000\r\nRRULE:FREQ={rule}"
        )));
        let (events, rejected) =
            event::parse_events(&text, "1997-06-01T00:00:00Z".parse().unwrap()).unwrap();
        assert!(rejected.is_empty(), "{rule}: {:?}", rejected[0].message);
        let days = events.iter().map(|event| event.span.date.strftime("%Y-%m%d").to_string());
        let listed: Vec<String> = days.map(|day| day.replace("1997-", "")).collect();
        assert_eq!(listed.join(" "), *expected, "{rule} from {start}");
    }
}

/// What an event says of its instances beside a rule.
#[test]
fn instances_beside_rules() {
    for (name, lines, expected) in [
        (
            "periods have a length of their own",
            "DTSTART:20260503T170000Z\r\nDTEND:20260503T180000Z\r\n\
             RDATE;VALUE=PERIOD:20260504T170000Z/20260504T190000Z,20260505T170000Z/PT30M\r\n\
             RDATE:20260506T170000Z",
            Ok("2026-05-03T17:00:00Z to 2026-05-03T18:00:00Z, \
                2026-05-04T17:00:00Z to 2026-05-04T19:00:00Z, \
                2026-05-05T17:00:00Z to 2026-05-05T17:30:00Z, \
                2026-05-06T17:00:00Z to 2026-05-06T18:00:00Z"),
        ),
        (
            "a period at an instance of the rule",
            "DTSTART:20260503T170000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY;COUNT=2\r\n\
             RDATE;VALUE=PERIOD:20260504T170000Z/PT3H",
            Ok("2026-05-03T17:00:00Z to 2026-05-03T18:00:00Z, \
                2026-05-04T17:00:00Z to 2026-05-04T20:00:00Z"),
        ),
        (
            "it begins after the years that are expanded",
            "DTSTART:20310503T170000Z\r\nRRULE:FREQ=YEARLY",
            Ok(""),
        ),
        (
            "another calendar",
            "DTSTART:20260503T170000Z\r\nRRULE:RSCALE=CHINESE;FREQ=YEARLY",
            Err("its RRULE counts by another calendar (RSCALE), or skips days"),
        ),
        (
            "days that are moved",
            "DTSTART:20260131T170000Z\r\nRRULE:RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=BACKWARD;COUNT=2",
            Err("its RRULE counts by another calendar (RSCALE), or skips days"),
        ),
        (
            "the same calendar",
            "DTSTART:20260131T170000Z\r\nRRULE:RSCALE=GREGORIAN;FREQ=MONTHLY;COUNT=2",
            Ok("2026-01-31T17:00:00Z, 2026-03-31T17:00:00Z"),
        ),
    ] {
        let text = wrap_calendar(&wrap_event(&format!("SUMMARY:A\r\n{lines}")));
        let listed = read_response(&text).map(|response| {
            let lines = describe_calendar(&response.calendar);
            let times: Vec<_> = lines.iter().filter_map(|line| line.split_once(' ')).collect();
            times.iter().map(|(_, time)| *time).collect::<Vec<_>>().join(", ")
        });
        let listed = listed.map_err(|why| why.split_once(": ").unwrap().1.to_owned());
        assert_eq!(listed.as_deref().map_err(String::as_str), expected, "{name}");
    }
}
