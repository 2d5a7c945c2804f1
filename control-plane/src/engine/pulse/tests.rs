use super::*;

const NOW: &str = "2026-05-03T17:00:00Z";

/// One check after another, ten seconds apart: what each shows.
#[derive(Clone)]
struct Look {
    sequence: u64,
    picture: &'static str,
    bit_rate: Option<u64>,
    date: Option<&'static str>,
}

fn look(sequence: u64, picture: &'static str) -> Look {
    Look { sequence, picture, bit_rate: Some(1_000_000), date: None }
}

fn checked(look: &Look) -> Checked {
    let rendition = serde_json::json!({
        "id": "v", "role": "video", "playlist": "https://a.example/m.m3u8",
        "container": "mpeg-ts", "label": "Live", "bandwidth": 3_000_000,
    });
    let mut checked = Checked::of(vec![serde_json::from_value(rendition).unwrap()], look.sequence);
    checked.head.target = Duration::from_secs(6);
    checked.head.date = look.date.map(|date| date.parse().unwrap());
    checked.heads[0].1 = checked.head;
    checked.sample.bit_rate = look.bit_rate;
    checked.sample.fingerprint = Fingerprint::of(look.picture.as_bytes());
    checked
}

/// What the last of these checks says.
async fn after(looks: &[Look], rules: &CheckRules) -> Option<CheckError> {
    let now = NOW.parse().unwrap();
    let mut pulse = Pulse::new();
    let mut last = None;
    for look in looks {
        last = pulse.take(&checked(look), rules, now).err();
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    last
}

async fn check(name: &str, looks: &[Look], rules: &CheckRules, expected: Option<&str>) {
    let error = after(looks, rules).await;
    let message = error.as_ref().map(|error| error.message.as_str());
    match (message, expected) {
        (None, None) => {}
        (Some(message), Some(expected)) => assert!(message.contains(expected), "{name}: {message}"),
        (message, _) => panic!("{name}: {message:?}, not {expected:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_lives_and_what_does_not() {
    let rules = CheckRules::default();
    let loops = CheckRules { loops: true, ..rules.clone() };
    let moving: Vec<Look> = (0..9).map(|n| look(n, ["a", "b", "c"][n as usize % 3])).collect();
    let (fresh, slate) = (&moving[..3], look(1, "slate"));
    let slates: Vec<Look> = (0..6).map(|n| Look { sequence: n, ..slate.clone() }).collect();
    let frozen = [look(1, "a"), look(1, "a"), look(1, "a")];
    let late = [look(1, "a"), look(1, "a")];
    let back = [look(9, "a"), look(9, "a"), look(9, "a"), look(3, "b")];

    check("it moves", fresh, &rules, None).await;
    check("10 s of 6 late", &late, &rules, Some("has not moved for 10 s")).await;
    check("20 s of 6 late", &frozen, &rules, Some("has not moved for 20 s")).await;
    check("it jumped back, and moves", &back, &rules, None).await;
    check("a slate, at first", &slates[..3], &rules, None).await;
    check("a slate", &slates, &rules, Some("a slate or a loop")).await;
    check("a loop", &moving, &rules, Some("a slate or a loop")).await;
    check("a loop that is meant", &moving, &loops, None).await;

    let thin =
        |n: u64| Look { bit_rate: Some(100_000), ..look(n, ["a", "b", "c", "d"][n as usize]) };
    let fade = [look(0, "a"), thin(1), thin(2)];
    check("a fade to black", &fade, &rules, None).await;
    let black = [look(0, "a"), thin(1), thin(2), thin(3)];
    check("black", &black, &rules, Some("100 kbit/s, less than the 150")).await;
    let silent = |n: u64| Look { bit_rate: None, ..thin(n) };
    check("nobody says", &[silent(0), silent(1), silent(2), silent(3)], &rules, None).await;
}

/// A race shown again and again: how long it may be to be noticed.
#[tokio::test(start_paused = true)]
async fn long_loops() {
    for (length, noticed) in [(65, true), (700, true), (MEMORY as u64, true), (1100, false)] {
        let mut pulse = Pulse::new();
        let mut last = Ok(());
        for n in 0..length + 4 {
            let mut checked = checked(&look(n, ""));
            checked.sample.fingerprint = Fingerprint::of(&(n % length).to_be_bytes());
            last = pulse.take(&checked, &CheckRules::default(), NOW.parse().unwrap());
            tokio::time::advance(Duration::from_secs(8)).await;
        }
        assert_eq!(last.is_err(), noticed, "{length} samples, {} min", length * 8 / 60);
        assert!(pulse.seen.len() <= MEMORY);
    }
}

/// A ladder of two with two languages, ten seconds apart with a target duration of six: where
/// each of them is.
#[tokio::test(start_paused = true)]
async fn renditions_that_stand_still() {
    let late = Some("has not moved for 10 s");
    let frozen = Some("has not moved for 20 s");
    for (name, places, stuck, expected) in [
        ("all move", &[[1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]][..], "", None),
        ("the small one is late", &[[1, 1, 1, 1], [2, 1, 2, 2]], "", late),
        ("the small one stands still", &[[1, 1, 1, 1], [2, 1, 2, 2], [3, 1, 3, 3]], "v360", None),
        ("the best stands still", &[[1, 1, 1, 1], [1, 2, 2, 2], [1, 3, 3, 3]], "v720", None),
        ("on it goes", &[[1, 1, 1, 1], [2, 1, 2, 2], [3, 1, 3, 3], [4, 9, 4, 4]], "", None),
        ("both are late", &[[1, 1, 1, 1], [1, 1, 2, 2]], "", late),
        ("both stand still", &[[1, 1, 1, 1], [1, 1, 2, 2], [1, 1, 3, 3]], "", frozen),
        ("a language is late", &[[1, 1, 1, 1], [2, 2, 2, 1]], "", late),
        ("a language stands still", &[[1, 1, 1, 1], [2, 2, 2, 1], [3, 3, 3, 1]], "a-de", None),
        ("no sound moves", &[[1, 1, 1, 1], [2, 2, 1, 1], [3, 3, 1, 1]], "", frozen),
        ("nothing moves", &[[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]], "", frozen),
    ] {
        let (got, message) = after_all(&ladder("all", "all"), places).await;
        assert_eq!(message.is_some(), expected.is_some(), "{name}: {message:?}");
        assert!(message.unwrap_or_default().contains(expected.unwrap_or_default()), "{name}");
        assert_eq!(got, stuck, "{name}");
    }
}

/// The small picture has a sound of its own, which stands still.
#[tokio::test(start_paused = true)]
async fn a_picture_is_stuck_with_its_sound() {
    let ladder = ladder("high", "low");
    let places = [[1, 1, 1, 1], [2, 2, 2, 1], [3, 3, 3, 1]];
    assert_eq!(after_all(&ladder, &places).await, ("a-de v360".to_owned(), None));
}

/// Two pictures and two languages: v720 plays with the first group, v360 with the second. `all`
/// is a group of both.
fn ladder(first: &str, second: &str) -> Vec<Rendition> {
    let one = |id: &str, role: &str, group: &str| {
        let json = serde_json::json!({
            "id": id, "role": role, "playlist": "https://a.example/m.m3u8", "label": id,
            "container": "mpeg-ts", "groups": [{ "role": "audio", "id": group }],
        });
        serde_json::from_value(json).unwrap()
    };
    vec![
        one("v720", "video", first),
        one("v360", "video", second),
        one("a-en", "audio", first),
        one("a-de", "audio", second),
    ]
}

/// Which are stuck after the last of these checks, and what it says.
async fn after_all(ladder: &[Rendition], places: &[[u64; 4]]) -> (String, Option<String>) {
    let (mut pulse, mut last) = (Pulse::new(), None);
    for (n, places) in places.iter().enumerate() {
        let mut checked = Checked::of(ladder.to_vec(), places[0]);
        for ((_, head), place) in checked.heads.iter_mut().zip(places) {
            (head.sequence, head.target) = (*place, Duration::from_secs(6));
        }
        checked.sample.fingerprint = Fingerprint::of(&n.to_be_bytes());
        last = pulse.take(&checked, &CheckRules::default(), NOW.parse().unwrap()).err();
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    let stuck: Vec<_> = pulse.stuck.iter().map(|id| id.0.as_str()).collect();
    (stuck.join(" "), last.map(|error| error.message))
}

#[tokio::test(start_paused = true)]
async fn behind_the_clock() {
    let rules = CheckRules {
        max_lag: Some(crate::settings::HumanDuration(Duration::from_mins(2))),
        ..CheckRules::default()
    };
    for (date, expected) in [
        (None, None),
        (Some("2026-05-03T16:59:30Z"), None),
        (Some("2026-05-03T17:00:30Z"), None),
        (Some("2026-05-03T16:50:00Z"), Some("600 s behind the clock, where 2m is allowed")),
    ] {
        check("dated", &[Look { date, ..look(1, "a") }], &rules, expected).await;
    }
    let late = [Look { date: Some("2026-05-03T16:50:00Z"), ..look(1, "a") }];
    check("nobody minds", &late, &CheckRules::default(), None).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_look() {
    let rules = CheckRules::default();
    for (bit_rate, codecs, fine) in [
        (Some(1_000_000), None, true),
        (Some(10_000), None, false),
        (None, None, true),
        (Some(10_000), Some("mp4a.40.2"), true),
    ] {
        let mut checked = checked(&Look { bit_rate, ..look(1, "a") });
        checked.renditions[0].codecs = codecs.map(str::to_owned);
        let verdict = Pulse::first_look(&checked, &rules, NOW.parse().unwrap());
        assert_eq!(verdict.is_ok(), fine, "{bit_rate:?} {codecs:?}");
    }
}
