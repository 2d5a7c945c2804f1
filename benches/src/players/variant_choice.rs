//! [`VariantChoice`]: which variant of a multivariant playlist a player plays.

use pitwall_hls::analysis::{MultivariantPlaylist, Variant};

/// Which variant of a multivariant playlist a player plays. It stays with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VariantChoice {
    /// The one that is listed first, with which a player starts.
    #[default]
    First,
    /// The one of the lowest BANDWIDTH.
    Lowest,
    /// The one of the highest BANDWIDTH.
    Highest,
    /// Each player another one in turn.
    Spread,
}

impl VariantChoice {
    /// The variant of the player with this number; `None` where there is none.
    pub(super) fn choose(
        self,
        multivariant: &MultivariantPlaylist,
        player: u32,
    ) -> Option<&Variant> {
        let variants = &multivariant.variants;
        match self {
            Self::First => variants.first(),
            Self::Lowest => variants.iter().min_by_key(|variant| variant.bandwidth),
            Self::Highest => variants.iter().max_by_key(|variant| variant.bandwidth),
            Self::Spread => variants.get(player as usize % variants.len().max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use pitwall_hls::{Playlist, PlaylistLimits, Variables, parse_playlist};
    use url::Url;

    use super::*;

    #[test]
    fn a_player_finds_its_variant() {
        let base = Url::parse("http://127.0.0.1/index.m3u8").unwrap();
        let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2000\na\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=1000\nb\n#EXT-X-STREAM-INF:BANDWIDTH=3000\nc\n";
        let limits = PlaylistLimits::default();
        let Ok(Playlist::Multivariant(multivariant)) =
            parse_playlist(text.as_bytes(), &base, &Variables::default(), &limits)
        else {
            panic!("a multivariant playlist");
        };
        for (choice, expected) in [
            (VariantChoice::First, ["a", "a", "a", "a"]),
            (VariantChoice::Lowest, ["b", "b", "b", "b"]),
            (VariantChoice::Highest, ["c", "c", "c", "c"]),
            (VariantChoice::Spread, ["a", "b", "c", "a"]),
        ] {
            let chosen = [0, 1, 2, 3].map(|player| choice.choose(&multivariant, player).unwrap());
            let expected = expected.map(|name| format!("http://127.0.0.1/{name}"));
            assert_eq!(chosen.map(|variant| variant.url.clone()), expected, "{choice:?}");
        }
        let nothing = MultivariantPlaylist { variants: Vec::new(), ..multivariant };
        assert!(VariantChoice::Spread.choose(&nothing, 5).is_none());
    }
}
