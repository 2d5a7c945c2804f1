use super::*;

const NOW: &str = "2026-05-03T17:00:00Z";

/// What one check in a series of checks, ten seconds apart, finds.
#[derive(Clone)]
struct SimulatedCheck {
    last_sequence: u64,
    picture: &'static str,
    bit_rate: Option<u64>,
    date: Option<&'static str>,
}

fn simulated_check(last_sequence: u64, picture: &'static str) -> SimulatedCheck {
    SimulatedCheck { last_sequence, picture, bit_rate: Some(1_000_000), date: None }
}

fn findings_of(check: &SimulatedCheck) -> CheckFindings {
    let rendition = serde_json::json!({
        "id": "v", "role": "video", "playlist": "https://a.example/m.m3u8",
        "container": "mpeg-ts", "label": "Live", "bandwidth": 3_000_000,
    });
    let mut findings =
        CheckFindings::of(vec![serde_json::from_value(rendition).unwrap()], check.last_sequence);
    findings.live_edge.target_duration = Duration::from_secs(6);
    findings.live_edge.ends_at = check.date.map(|date| date.parse().unwrap());
    findings.live_edges[0].1 = findings.live_edge;
    findings.sample.bit_rate = check.bit_rate;
    findings.sample.fingerprint = SegmentFingerprint::of(check.picture.as_bytes());
    findings
}

/// The error of the last of these checks.
async fn last_error_after(checks: &[SimulatedCheck], rules: &CheckRules) -> Option<CheckError> {
    let now = NOW.parse().unwrap();
    let mut detector = LivenessDetector::new();
    let mut last = None;
    for check in checks {
        last = detector.observe(&findings_of(check), rules, now).err();
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    last
}

async fn assert_last_error(
    name: &str,
    checks: &[SimulatedCheck],
    rules: &CheckRules,
    expected: Option<&str>,
) {
    let error = last_error_after(checks, rules).await;
    let message = error.as_ref().map(|error| error.message.as_str());
    match (message, expected) {
        (None, None) => {}
        (Some(message), Some(expected)) => assert!(message.contains(expected), "{name}: {message}"),
        (message, _) => panic!("{name}: {message:?}, not {expected:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn frozen_and_thin_upstreams_are_detected() {
    let rules = CheckRules::default();
    let fresh: Vec<SimulatedCheck> =
        (0..3).map(|n| simulated_check(n, ["a", "b", "c"][n as usize])).collect();
    let frozen = [simulated_check(1, "a"), simulated_check(1, "a"), simulated_check(1, "a")];
    let late = [simulated_check(1, "a"), simulated_check(1, "a")];
    let back = [
        simulated_check(9, "a"),
        simulated_check(9, "a"),
        simulated_check(9, "a"),
        simulated_check(3, "b"),
    ];

    assert_last_error("it moves", &fresh, &rules, None).await;
    assert_last_error("10 s of 6 late", &late, &rules, Some("has not moved for 10 s")).await;
    assert_last_error("20 s of 6 late", &frozen, &rules, Some("has not moved for 20 s")).await;
    assert_last_error("it jumped back, and moves", &back, &rules, None).await;

    // The claimed bandwidth is thirty times the bit rate, which is no measure.
    let required = CheckRules { min_bitrate: 150_000, ..CheckRules::default() };
    let none_required = CheckRules { min_bitrate: 0, ..CheckRules::default() };
    let thin = |n: u64| SimulatedCheck {
        bit_rate: Some(100_000),
        ..simulated_check(n, ["a", "b", "c", "d"][n as usize])
    };
    let fade = [simulated_check(0, "a"), thin(1), thin(2)];
    assert_last_error("a fade to black", &fade, &required, None).await;
    let black = [simulated_check(0, "a"), thin(1), thin(2), thin(3)];
    assert_last_error("black", &black, &required, Some("100 kbit/s, less than the 150")).await;
    assert_last_error("black, above the default", &black, &rules, None).await;
    let silent = |n: u64| SimulatedCheck { bit_rate: None, ..thin(n) };
    assert_last_error(
        "nobody says",
        &[silent(0), silent(1), silent(2), silent(3)],
        &required,
        None,
    )
    .await;
    let one_byte = |n: u64| SimulatedCheck { bit_rate: Some(1), ..thin(n) };
    let nothing = [one_byte(0), one_byte(1), one_byte(2), one_byte(3)];
    assert_last_error("the operator requires nothing", &nothing, &none_required, None).await;
    assert_last_error("below the default", &nothing, &rules, Some("less than the 16")).await;
}

/// What repeats itself is said, and no error.
#[tokio::test(start_paused = true)]
async fn slates_and_loops_are_told_apart() {
    let meant = CheckRules { loops: true, ..CheckRules::default() };
    for (pictures, rules, expected) in [
        ("abcdefghi", CheckRules::default(), None),
        ("aaa", CheckRules::default(), None),
        ("aaaa", CheckRules::default(), Some(Repetition::Slate)),
        ("abcaaaa", CheckRules::default(), Some(Repetition::Slate)),
        ("abcabcabc", CheckRules::default(), Some(Repetition::Loop)),
        ("abcabcabcd", CheckRules::default(), None),
        ("abcabcabc", meant.clone(), None),
        ("aaaaaa", meant, None),
    ] {
        let mut detector = LivenessDetector::new();
        for (number, picture) in pictures.bytes().enumerate() {
            let mut findings = findings_of(&simulated_check(number as u64, ""));
            findings.sample.fingerprint = SegmentFingerprint::of(&[picture]);
            let result = detector.observe(&findings, &rules, NOW.parse().unwrap());
            assert!(result.is_ok(), "{pictures}");
            tokio::time::advance(Duration::from_secs(10)).await;
        }
        assert_eq!(detector.repetition(), expected, "{pictures} {rules:?}");
    }
}

/// Whether a loop of this many samples is detected.
#[tokio::test(start_paused = true)]
async fn long_loops() {
    for (length, noticed) in
        [(65, true), (700, true), (SEEN_SEGMENTS_MAX_COUNT as u64, true), (1100, false)]
    {
        let mut detector = LivenessDetector::new();
        for n in 0..length + 4 {
            let mut findings = findings_of(&simulated_check(n, ""));
            findings.sample.fingerprint = SegmentFingerprint::of(&(n % length).to_be_bytes());
            let _ = detector.observe(&findings, &CheckRules::default(), NOW.parse().unwrap());
            tokio::time::advance(Duration::from_secs(8)).await;
        }
        let is_noticed = detector.repetition() == Some(Repetition::Loop);
        assert_eq!(is_noticed, noticed, "{length} samples, {} min", length * 8 / 60);
        assert!(detector.seen_segments.len() <= SEEN_SEGMENTS_MAX_COUNT);
    }
}

/// Last sequence numbers per rendition (two videos, two audio renditions) in checks ten seconds
/// apart, with a target duration of six seconds.
#[tokio::test(start_paused = true)]
async fn renditions_that_stand_still() {
    let late = Some("has not moved for 10 s");
    let frozen = Some("has not moved for 20 s");
    for (name, sequences, stuck, expected) in [
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
        let (got, message) =
            stuck_and_error_after(&two_by_two_renditions("all", "all"), sequences).await;
        assert_eq!(message.is_some(), expected.is_some(), "{name}: {message:?}");
        assert!(message.unwrap_or_default().contains(expected.unwrap_or_default()), "{name}");
        assert_eq!(got, stuck, "{name}");
    }
}

/// The small video has its own audio, which is frozen.
#[tokio::test(start_paused = true)]
async fn a_picture_is_stuck_with_its_sound() {
    let renditions = two_by_two_renditions("high", "low");
    let sequences = [[1, 1, 1, 1], [2, 2, 2, 1], [3, 3, 3, 1]];
    assert_eq!(
        stuck_and_error_after(&renditions, &sequences).await,
        ("a-de v360".to_owned(), None)
    );
}

/// Two videos and two audio renditions: v720 plays with the audio group `first`, v360 with
/// `second`. With the same name for both, one group has both.
fn two_by_two_renditions(first: &str, second: &str) -> Vec<Rendition> {
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

/// Which renditions are stuck after the last of these checks, and the error of that check.
async fn stuck_and_error_after(
    renditions: &[Rendition],
    sequences: &[[u64; 4]],
) -> (String, Option<String>) {
    let (mut detector, mut last) = (LivenessDetector::new(), None);
    for (n, sequences) in sequences.iter().enumerate() {
        let mut findings = CheckFindings::of(renditions.to_vec(), sequences[0]);
        for ((_, live_edge), sequence) in findings.live_edges.iter_mut().zip(sequences) {
            (live_edge.last_sequence, live_edge.target_duration) =
                (*sequence, Duration::from_secs(6));
        }
        findings.sample.fingerprint = SegmentFingerprint::of(&n.to_be_bytes());
        last = detector.observe(&findings, &CheckRules::default(), NOW.parse().unwrap()).err();
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    let stuck: Vec<_> = detector.stuck_renditions.iter().map(|id| id.0.as_str()).collect();
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
        assert_last_error(
            "dated",
            &[SimulatedCheck { date, ..simulated_check(1, "a") }],
            &rules,
            expected,
        )
        .await;
    }
    let late = [SimulatedCheck { date: Some("2026-05-03T16:50:00Z"), ..simulated_check(1, "a") }];
    assert_last_error("nobody minds", &late, &CheckRules::default(), None).await;
}

#[tokio::test(start_paused = true)]
async fn one_sample_keeps_nothing_out() {
    let rules = CheckRules::default();
    for (bit_rate, codecs, is_out_for_good) in [
        (Some(1_000_000), None, false),
        (Some(10_000), None, true),
        (None, None, false),
        (Some(10_000), Some("mp4a.40.2"), false),
    ] {
        let mut detector = LivenessDetector::new();
        for number in 0..3 {
            let check = simulated_check(number, ["a", "b", "c"][number as usize]);
            let mut findings = findings_of(&SimulatedCheck { bit_rate, ..check });
            findings.renditions[0].codecs = codecs.map(str::to_owned);
            let now = NOW.parse().unwrap();
            let first = LivenessDetector::check_first_findings(&findings, &rules, now);
            assert!(first.is_ok(), "{bit_rate:?} {codecs:?}");
            let result = detector.observe(&findings, &rules, now);
            let is_out = is_out_for_good && number == 2;
            assert_eq!(result.is_err(), is_out, "{bit_rate:?} {codecs:?} {number}");
            tokio::time::advance(Duration::from_secs(10)).await;
        }
    }
}
