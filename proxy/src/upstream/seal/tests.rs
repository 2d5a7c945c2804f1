use super::*;

const DAY: u64 = PERIOD_SECONDS;
const NOW: u64 = 20_500 * DAY + 1_000;
const URL: &str = "https://cdn.example.com/a/b/seg-1.ts?token=secret";

fn sealer() -> Sealer {
    Sealer::new(&[7; 32])
}

fn seal(path: &str, now: u64) -> String {
    let mut out = Vec::new();
    sealer().seal(Purpose::Media, path, "source", URL, now, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn opens_what_it_made() {
    let opened = sealer().unseal(&seal("/live/x/v/1.ts", NOW), "/live/x/v/1.ts", NOW).unwrap();
    assert_eq!(
        opened,
        SealContents { purpose: Purpose::Media, expires: None, text: format!("source\0{URL}") }
    );
    assert_eq!((opened.profile(), opened.url()), ("source", URL));
}

#[test]
fn is_deterministic_within_a_period() {
    assert_eq!(seal("/p", NOW), seal("/p", NOW + 1));
    assert_ne!(seal("/p", NOW), seal("/q", NOW));
}

/// Links are in use across releases: another byte would make every player reload its map and
/// keys.
#[test]
fn is_aes_siv_and_nothing_else() {
    let sealer = sealer();
    let header = sealer.seal_header(Purpose::Media, NOW / PERIOD_SECONDS);
    let mut cipher_key = [0; 64];
    derive_key("pitwall 2026 seal key", &[7; 32], &mut cipher_key);
    let sealed = Aes256Siv::new(&cipher_key.into())
        .encrypt(
            [&associated_data(header, NOW / PERIOD_SECONDS)[..], b"/p"],
            format!("source\0{URL}").as_bytes(),
        )
        .unwrap();
    let expected = URL_SAFE_NO_PAD.encode([&header[..], &sealed].concat());
    let mut out = Vec::new();
    sealer.seal(Purpose::Media, "/p", "source", URL, NOW, &mut out);
    // A second seal uses the same cipher; a third, on another thread, another one.
    sealer.seal(Purpose::Media, "/p", "source", URL, NOW, &mut out);
    assert!(sealer.unseal(&expected, "/p", NOW).is_ok());
    let out = std::thread::spawn(move || {
        sealer.seal(Purpose::Media, "/p", "source", URL, NOW, &mut out);
        assert!(sealer.unseal(&expected, "/p", NOW).is_ok());
        (out, expected)
    });
    let (out, expected) = out.join().unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), expected.repeat(3));
}

#[test]
fn lives_for_two_periods() {
    let made = seal("/p", NOW);
    for (later, expected) in [
        (0, Ok(())),
        (DAY, Ok(())),
        (2 * DAY, Err(Problem::SealExpired)),
        (30 * DAY, Err(Problem::SealExpired)),
    ] {
        let got = sealer().unseal(&made, "/p", NOW + later).map(drop);
        assert_eq!(got, expected, "{later} seconds later");
    }
}

#[test]
fn may_end_sooner() {
    let mut out = Vec::new();
    sealer().seal_until(Purpose::Media, "/p", "source", URL, NOW, Some(NOW + 60), &mut out);
    let made = String::from_utf8(out).unwrap();
    for (later, expected) in [(0, Ok(())), (59, Ok(())), (60, Err(Problem::SealExpired))] {
        assert_eq!(sealer().unseal(&made, "/p", NOW + later).map(drop), expected, "{later}");
    }
}

#[test]
fn keys_rotate_without_a_break() {
    let (old, new) = ([7; 32], [9; 32]);
    let made = seal("/p", NOW);
    let rotated = Sealer::with_previous_key(&new, Some(&old));
    assert_eq!(rotated.unseal(&made, "/p", NOW).unwrap().url(), URL);
    let mut fresh = Vec::new();
    rotated.seal(Purpose::Media, "/p", "source", URL, NOW, &mut fresh);
    let fresh = String::from_utf8(fresh).unwrap();
    assert!(Sealer::new(&new).unseal(&fresh, "/p", NOW).is_ok());
    assert_eq!(Sealer::new(&new).unseal(&made, "/p", NOW), Err(Problem::SealInvalid));
    assert_eq!(sealer().unseal(&fresh, "/p", NOW), Err(Problem::SealInvalid));
}

#[test]
fn refuses_what_it_did_not_make() {
    let made = seal("/p", NOW);
    let other = Sealer::new(&[8; 32]).unseal(&made, "/p", NOW);
    assert_eq!(other, Err(Problem::SealInvalid));
    assert_eq!(sealer().unseal(&made, "/q", NOW), Err(Problem::SealInvalid));
    for index in 0..made.len() {
        let mut flipped = made.clone().into_bytes();
        flipped[index] = if flipped[index] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(flipped).unwrap();
        if flipped != made {
            assert!(sealer().unseal(&flipped, "/p", NOW).is_err(), "character {index}");
        }
    }
    for garbage in ["", "AAAA", "!!!!", "Zm9v"] {
        assert_eq!(sealer().unseal(garbage, "/p", NOW), Err(Problem::SealInvalid));
    }
}

#[test]
fn hides_its_target_and_stays_short() {
    let long = format!("https://cdn.example.com/{}", "a".repeat(300 - 24));
    let mut out = Vec::new();
    sealer().seal(Purpose::Media, "/p", "source", &long, NOW, &mut out);
    assert!(out.len() < 600, "{} bytes", out.len());
    let decoded = URL_SAFE_NO_PAD.decode(&out).unwrap();
    assert!(!decoded.windows(11).any(|window| window == b"cdn.example"));
}

#[test]
fn names_are_stable_and_mute() {
    assert_eq!(sealer().opaque_name(URL), sealer().opaque_name(URL));
    assert_ne!(sealer().opaque_name(URL), sealer().opaque_name("https://cdn.example.com/"));
    assert_eq!(sealer().opaque_name(URL).len(), 16);
}
