#!/usr/bin/env bash
# The player that Chromium itself has for HLS shows no frame of AES-128 in fragmented MP4.
#
# One would guess that a browser that plays HLS by itself, MPEG-TS with AES-128 and fragmented MP4 in the clear, plays
# fragmented MP4 with AES-128 too. It does not, in either of the two forms that RFC 8216bis (4.4.4.4) knows: where the
# initialization section is named before the key, and so is in the clear, it decrypts it all the same and ends with
# DEMUXER_ERROR_COULD_NOT_PARSE; where the section is encrypted as the segments are, it loads all of them twice, says
# nothing, and stands at 0. hls.js plays both on the same page.
#
# How the field is touched: `<video src="....m3u8">` used to fail at once in Chromium, and pages fell back to hls.js
# on what canPlayType says, which is "maybe" now. Pages that ask for the browser's own player first lose these streams.
set -euo pipefail

HLS_JS=1.7.4 PLAYWRIGHT=1.65.1 IMAGEIO_FFMPEG=0.8.1
chromium=$(command -v chromium) # Debian's
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "imageio-ffmpeg==$IMAGEIO_FFMPEG"
npm install --silent --no-audit --no-fund --prefix . "hls.js@$HLS_JS" "playwright-core@$PLAYWRIGHT" >/dev/null
ffmpeg=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')

make() { # make EXTENSION OPTION...: four segments of two seconds
  "$ffmpeg" -nostdin -v error -f lavfi -i testsrc2=size=128x72:rate=25 -f lavfi -i sine=330:sample_rate=48000 -t 8 \
    -c:v libx264 -preset ultrafast -g 50 -sc_threshold 0 -pix_fmt yuv420p -c:a aac -f hls -hls_time 2 \
    -hls_playlist_type vod -hls_segment_filename "clear%d.$1" "${@:2}" "clear-$1.m3u8"
}
make ts
make m4s -hls_segment_type fmp4 -hls_fmp4_init_filename init.mp4
IV=00112233445566778899aabbccddeeff
printf 'sixteen.bytes.1.' >key
encrypt() { openssl enc -aes-128-cbc -K "$(od -An -tx1 key | tr -d ' \n')" -iv "$IV" -in "$1" -out "$2"; }
for n in 0 1 2 3; do for e in ts m4s; do encrypt "clear$n.$e" "$n.$e"; done; done
encrypt init.mp4 init-encrypted.mp4
key="#EXT-X-KEY:METHOD=AES-128,URI=\"key\",IV=0x$IV"
playlist() { # playlist EXTENSION TAG...
  printf '#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n'
  printf '%s\n' "${@:2}"
  for n in 0 1 2 3; do printf '#EXTINF:2.0,\n%s.%s\n' "$n" "$1"; done
  echo '#EXT-X-ENDLIST'
}
playlist ts "$key" >mpeg-ts.m3u8
playlist m4s '#EXT-X-MAP:URI="init.mp4"' "$key" >clear-init.m3u8
playlist m4s "$key" '#EXT-X-MAP:URI="init-encrypted.mp4"' >encrypted-init.m3u8

cat >look.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const TYPES = { m3u8: 'application/vnd.apple.mpegurl', ts: 'video/mp2t', mp4: 'video/mp4', m4s: 'video/iso.segment', js: 'text/javascript' };
const PAGE = '<!doctype html><video muted></video><script src="/node_modules/hls.js/dist/hls.js"></script>';
const server = createServer((request, response) => {
	const name = new URL(request.url, 'http://localhost').pathname.slice(1);
	try {
		const body = name ? readFileSync(name) : PAGE;
		response.writeHead(200, { 'content-type': name ? (TYPES[name.split('.').pop()] ?? 'application/octet-stream') : 'text/html' });
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
	const video = document.querySelector('video');
	if (player === 'hls.js') {
		const hls = new window.Hls();
		hls.loadSource(source);
		hls.attachMedia(video);
	} else {
		video.src = source;
	}
	video.play().catch(() => {});
	for (let waited = 0; waited < 240 && !video.ended && !video.error; waited++) await new Promise((resolve) => setTimeout(resolve, 100));
	const error = video.error ? ` ${video.error.message.split('::').pop().split(':')[0]}` : '';
	return `${video.getVideoPlaybackQuality().totalVideoFrames} frames${error}`;
};
for (const player of ["Chromium's own", 'hls.js']) {
	for (const playlist of ['mpeg-ts', 'clear-init', 'encrypted-init']) {
		const page = await browser.newPage();
		await page.goto(`http://127.0.0.1:${server.address().port}/`);
		console.log(`${player}, ${playlist}: ${await page.evaluate(play, [player, `/${playlist}.m3u8`])}`);
	}
}
await browser.close();
server.close();
server.closeAllConnections();
JS
"$chromium" --version
node look.mjs "$chromium" | tee seen
diff seen - <<'EXPECTED'
Chromium's own, mpeg-ts: 200 frames
Chromium's own, clear-init: 0 frames DEMUXER_ERROR_COULD_NOT_PARSE
Chromium's own, encrypted-init: 0 frames
hls.js, mpeg-ts: 200 frames
hls.js, clear-init: 200 frames
hls.js, encrypted-init: 200 frames
EXPECTED
