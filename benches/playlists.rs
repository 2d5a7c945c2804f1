//! Criterion benchmarks of playlist rewriting without sealing and with it, and of one seal alone.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pitwall_benches::{live_playlist, short_uri_vod_playlist, vod_playlist};
use pitwall_hls::{
    PlaylistLimits, Redactor, UriMapper, UriReference, Variables, parse_playlist, rewrite,
};
use pitwall_proxy::playlist::uri_mappers::ProxyUriMapper;
use pitwall_proxy::upstream::seal::{Purpose, Sealer};
use url::Url;

/// A mapper of URIs that writes the shortest possible link, without sealing.
struct UnsealedUriMapper;

impl UriMapper for UnsealedUriMapper {
    fn map_uri(&mut self, reference: &UriReference<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"/relay?u=");
        out.extend_from_slice(reference.url.as_bytes());
    }
}

fn bench_playlists(criterion: &mut Criterion) {
    let Ok(base) = Url::parse("https://cdn.example.com/live/7f3a/world-feed/v720/index.m3u8")
    else {
        return;
    };
    let sealer = Sealer::new(&[7; 32]);
    let variables = Variables::default();
    let limits = PlaylistLimits::default();
    for (name, text) in [
        ("live, 6 segments", live_playlist(6)),
        ("live, 2000 segments", live_playlist(2000)),
        ("recording", vod_playlist()),
        ("recording, terse", short_uri_vod_playlist()),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("rewrite", |bencher| {
            bencher.iter(|| {
                rewrite(
                    black_box(text.as_bytes()),
                    &base,
                    &variables,
                    &limits,
                    &mut UnsealedUriMapper,
                )
            });
        });
        group.bench_function("rewrite and seal", |bencher| {
            bencher.iter(|| {
                let mut redactor = Redactor::new(None);
                redactor.add_url(&base);
                let mut uri_mapper = ProxyUriMapper {
                    sealer: &sealer,
                    profile: "source",
                    public_path: "",
                    container_extension: "m4s",
                    now: 1_795_221_000,
                    expires: None,
                    redactor: Some(redactor),
                };
                rewrite(black_box(text.as_bytes()), &base, &variables, &limits, &mut uri_mapper)
            });
        });
        group.bench_function("analyse", |bencher| {
            bencher.iter(|| parse_playlist(black_box(text.as_bytes()), &base, &variables, &limits));
        });
        group.finish();
    }
    criterion.bench_function("one seal", |bencher| {
        let url = "https://cdn.example.com/live/7f3a/world-feed/v720/862000000.m4s?exp=1795221000";
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            sealer.seal(
                Purpose::Media,
                "/relay/862000000.m4s",
                "source",
                black_box(url),
                1_795_221_000,
                &mut out,
            );
        });
    });
    criterion.bench_function("one name", |bencher| {
        let url = "https://cdn.example.com/live/7f3a/world-feed/v720/init.mp4?exp=1795221000";
        bencher.iter(|| sealer.opaque_name(black_box(url)));
    });
}

criterion_group!(benches, bench_playlists);
criterion_main!(benches);
