#!/usr/bin/env bash
# One segment that a playlist marks as missing stops most players in a browser.
#
# One would guess that EXT-X-GAP (RFC 8216bis, 4.4.4.7) is what lets a packager lose a segment in peace: the player
# does not load it and goes on with the next. Of four players in Chromium one does so wherever the gap is. Shaka
# Player plays through it. hls.js jumps over a gap in the middle and never starts at one that comes first. video.js
# stands in front of it for good, and so does the player that Chromium itself has for HLS, which does not even load a
# playlist that begins with a gap.
#
# How the field is touched: packagers write the tag when an encoder drops out (Apple asks for it), and a relay passes
# it on. An origin that tells the truth costs viewers the picture for as long as the gap is within what they have to
# play; a relay that has another source for the same seconds should take that instead.
set -euo pipefail

HLS_JS=1.7.4 SHAKA=5.2.12 VIDEO_JS=8.24.1 PLAYWRIGHT=1.65.1 IMAGEIO_FFMPEG=0.8.1
chromium=$(command -v chromium) # Debian's
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "imageio-ffmpeg==$IMAGEIO_FFMPEG"
npm install --silent --no-audit --no-fund --prefix . "hls.js@$HLS_JS" "shaka-player@$SHAKA" "video.js@$VIDEO_JS" \
  "playwright-core@$PLAYWRIGHT" >/dev/null
"$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')" -nostdin -v error \
  -f lavfi -i testsrc2=size=128x72:rate=25 -f lavfi -i sine=330:sample_rate=48000 -t 8 -c:v libx264 -preset ultrafast \
  -g 50 -sc_threshold 0 -pix_fmt yuv420p -c:a aac \
  -f hls -hls_time 2 -hls_playlist_type vod -hls_segment_filename '%d.ts' none.m3u8
playlist() { # playlist SEGMENT...: a word that begins with # is a tag
  printf '#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n'
  for word; do case $word in '#'*) echo "$word" ;; *) printf '#EXTINF:2.0,\n%s\n' "$word" ;; esac; done
  echo '#EXT-X-ENDLIST'
}
playlist 0.ts 1.ts 2.ts 3.ts >none.m3u8
playlist 0.ts '#EXT-X-GAP' lost.ts 2.ts 3.ts >middle.m3u8
playlist '#EXT-X-GAP' lost.ts 1.ts 2.ts 3.ts >first.m3u8

cat >look.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const SCRIPTS = {
	'hls.js': 'hls.js/dist/hls.js',
	'Shaka Player': 'shaka-player/dist/shaka-player.compiled.js',
	'video.js': 'video.js/dist/video.js',
};
const TYPES = { m3u8: 'application/vnd.apple.mpegurl', ts: 'video/mp2t' };
const server = createServer((request, response) => {
	const name = decodeURIComponent(new URL(request.url, 'http://localhost').pathname.slice(1));
	const page = `<!doctype html><video muted></video>${Object.keys(SCRIPTS).map((script) => `<script src="/${script}"></script>`).join('')}`;
	try {
		const body = name ? readFileSync(SCRIPTS[name] ? `node_modules/${SCRIPTS[name]}` : name) : page;
		response.writeHead(200, { 'content-type': TYPES[name.split('.').pop()] ?? (name ? 'text/javascript' : 'text/html') });
		response.end(body);
	} catch {
		response.writeHead(404).end();
	}
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const browser = await chromium.launch({
	executablePath: process.argv[2],
	args: ['--no-sandbox', '--autoplay-policy=no-user-gesture-required'],
});
const play = async ([player, source]) => {
	let video = document.querySelector('video');
	const players = {
		'hls.js'() {
			const hls = new window.Hls();
			hls.loadSource(source);
			hls.attachMedia(video);
		},
		async 'Shaka Player'() {
			const shaka = new window.shaka.Player();
			await shaka.attach(video);
			await shaka.load(source);
		},
		'video.js'() {
			const player = window.videojs(video, { html5: { vhs: { overrideNative: true } } });
			player.src({ src: source, type: 'application/x-mpegURL' });
			video = player.tech(true).el();
		},
		"Chromium's own": () => (video.src = source),
	};
	await players[player]();
	video.play().catch(() => {});
	// To the end, which is eight seconds away, or as far as it comes in three times that.
	for (let waited = 0; waited < 240 && !video.ended; waited++) await new Promise((resolve) => setTimeout(resolve, 100));
	return video.ended ? 'plays' : video.currentTime > 0 ? 'stands' : 'never starts';
};
for (const player of [...Object.keys(SCRIPTS), "Chromium's own"]) {
	const row = await Promise.all(
		['none', 'middle', 'first'].map(async (gap) => {
			const page = await browser.newPage();
			await page.goto(`http://127.0.0.1:${server.address().port}/`);
			return page.evaluate(play, [player, `/${gap}.m3u8`]);
		}),
	);
	console.log(`${player}: ${row.join(', ')}`);
}
await browser.close();
server.close();
server.closeAllConnections();
JS
"$chromium" --version
echo "without a gap, with one in the middle, with one first:"
node look.mjs "$chromium" | tee seen
diff seen - <<'EXPECTED'
hls.js: plays, plays, never starts
Shaka Player: plays, plays, plays
video.js: plays, stands, never starts
Chromium's own: plays, stands, never starts
EXPECTED
