//! Properties of seals.

use std::sync::LazyLock;

use super::{Purpose, SealContents, Sealer, seal_period};
use crate::http::problem::Problem;

/// Seals what the first lines say (a purpose by its first letter, a profile, a path, a URL, and the
/// times of sealing, of opening and of expiry) and opens it. Checks that the seal opens for the same
/// path, in its own period and the next, that an altered seal and one for another path do not open,
/// and that no other text does.
pub fn seal(data: &[u8]) {
    static SEALER: LazyLock<Sealer> = LazyLock::new(|| Sealer::new(&[7; 32]));
    let text = String::from_utf8_lossy(data).replace('\0', "");
    let mut lines = text.splitn(6, '\n');
    let mut next_line = || lines.next().unwrap_or_default();
    let [purpose, profile, path, url, times, foreign] = std::array::from_fn(|_| next_line());
    let purpose = match purpose.bytes().next().unwrap_or_default() {
        b'd' => Purpose::Document,
        b'm' => Purpose::Media,
        _ => Purpose::Playlist,
    };
    let mut times = times.split(' ').map(|time| time.parse::<u64>().ok());
    let mut next_time = || times.next().flatten();
    let (sealed_at, opened_at, expires) =
        (next_time().unwrap_or(1_800_000_000), next_time(), next_time());
    let opened_at = opened_at.unwrap_or(sealed_at);

    assert!(SEALER.unseal(foreign, path, opened_at).is_err(), "a forged seal opens: {foreign}");

    let make = || {
        let mut seal = Vec::new();
        SEALER.seal_until(purpose, path, profile, url, sealed_at, expires, &mut seal);
        String::from_utf8(seal).unwrap_or_default()
    };
    let seal = make();
    assert_eq!(seal, make(), "the same link is another one");
    let unsealed = SEALER.unseal(&seal, path, opened_at);
    let is_in_time = expires.is_none_or(|expires| opened_at < expires);
    let periods_apart = seal_period(opened_at).abs_diff(seal_period(sealed_at));
    if periods_apart <= 1 && is_in_time {
        let text = format!("{profile}\0{url}");
        assert_eq!(unsealed, Ok(SealContents { purpose, expires, text }));
    } else {
        assert!(matches!(unsealed, Err(Problem::SealInvalid | Problem::SealExpired)));
    }
    let other_path = format!("{path}x");
    assert_eq!(SEALER.unseal(&seal, &other_path, opened_at), Err(Problem::SealInvalid));
    let at = data.len() % seal.len().max(1);
    let mut altered = seal.into_bytes();
    if let Some(byte) = altered.get_mut(at) {
        *byte = if *byte == b'A' { b'B' } else { b'A' };
    }
    let altered = String::from_utf8(altered).unwrap_or_default();
    assert!(SEALER.unseal(&altered, path, opened_at).is_err(), "an altered seal opens");
}
