//! What rewriting a playlist costs: without sealing, with it, and a seal alone.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pitwall_benches::{live, recording, terse_recording};
use pitwall_hls::{Limits, Linker, Reference, Variables, analyse, rewrite};
use pitwall_proxy::links::ProxyLinks;
use pitwall_proxy::seal::{Purpose, Sealer};
use url::Url;

/// The least that a link can be.
struct Plain;

impl Linker for Plain {
    fn link(&mut self, reference: &Reference<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"/relay?u=");
        out.extend_from_slice(reference.url.as_bytes());
    }
}

fn playlists(criterion: &mut Criterion) {
    let Ok(base) = Url::parse("https://cdn.example.com/live/7f3a/world-feed/v720/index.m3u8")
    else {
        return;
    };
    let sealer = Sealer::new(&[7; 32]);
    let none = Variables::default();
    let limits = Limits::default();
    for (name, text) in [
        ("live, 6 segments", live(6)),
        ("live, 2000 segments", live(2000)),
        ("recording", recording()),
        ("recording, terse", terse_recording()),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("rewrite", |bencher| {
            bencher.iter(|| rewrite(black_box(text.as_bytes()), &base, &none, &limits, &mut Plain));
        });
        group.bench_function("rewrite and seal", |bencher| {
            bencher.iter(|| {
                let mut links = ProxyLinks {
                    sealer: &sealer,
                    profile: "source",
                    extension: "m4s",
                    now: 1_795_221_000,
                    expires: None,
                };
                rewrite(black_box(text.as_bytes()), &base, &none, &limits, &mut links)
            });
        });
        group.bench_function("analyse", |bencher| {
            bencher.iter(|| analyse(black_box(text.as_bytes()), &base, &none, &limits));
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
        bencher.iter(|| sealer.name(black_box(url)));
    });
}

criterion_group!(benches, playlists);
criterion_main!(benches);
