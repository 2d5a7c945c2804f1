#!/usr/bin/env bash
# Two libraries that read and write HLS playlists move EXT-X-MAP behind EXT-X-KEY.
#
# One would guess that a playlist that is parsed and written again without a change means the same. RFC 8216bis
# (4.4.4.4, 4.4.4.5) gives the order of these two tags a meaning: a key applies to the initialization sections that
# come after it, so that a section named before the first EXT-X-KEY is in the clear, and one between two keys is
# encrypted with the first. m3u8 (PyPI) and hls-parser (npm) keep one key and one map with each segment and write
# the key first: the clear section is then said to be encrypted, and the key of the one between two keys is gone.
#
# How the field is touched: these libraries stand in proxies, ad inserters and restreamers, and a packager that leaves
# the initialization section in the clear can say so only by this order. Every segment arrives, nothing is logged, and
# no player shows a frame.
set -euo pipefail

M3U8=6.0.0 HLS_PARSER=0.16.1 IMAGEIO_FFMPEG=0.8.1 # FFmpeg 9.0.2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "m3u8==$M3U8" "imageio-ffmpeg==$IMAGEIO_FFMPEG"
npm install --silent --no-audit --no-fund --prefix . "hls-parser@$HLS_PARSER" >/dev/null
ffmpeg=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')

# Four segments of two seconds; the initialization section in the clear and encrypted, the segments encrypted.
"$ffmpeg" -nostdin -v error -f lavfi -i testsrc2=size=128x72:rate=25 -t 8 -c:v libx264 -preset ultrafast -g 50 \
  -sc_threshold 0 -pix_fmt yuv420p -f hls -hls_time 2 -hls_playlist_type vod -hls_segment_type fmp4 \
  -hls_fmp4_init_filename init.mp4 -hls_segment_filename 'clear%d.m4s' clear.m3u8
encrypt() { # encrypt KEY FILE INTO
  openssl enc -aes-128-cbc -K "$(od -An -tx1 "$1" | tr -d ' \n')" -iv 00112233445566778899aabbccddeeff -in "$2" -out "$3"
}
printf 'first-key-16-by.' >first.key
printf 'other-key-16-by.' >other.key
encrypt first.key init.mp4 init-first.mp4
for n in 0 1 2 3; do encrypt first.key "clear$n.m4s" "first$n.m4s"; encrypt other.key "clear$n.m4s" "other$n.m4s"; done
key() { echo "#EXT-X-KEY:METHOD=AES-128,URI=\"$1.key\",IV=0x00112233445566778899aabbccddeeff"; }
map() { echo "#EXT-X-MAP:URI=\"$1.mp4\""; }
playlist() { # playlist SEGMENTS, after tags on standard input
  printf '#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n'
  cat
  for n in 0 1 2 3; do printf '#EXTINF:2.0,\n%s%s.m4s\n' "$1" "$n"; done
  echo '#EXT-X-ENDLIST'
}
{ map init; key first; } | playlist first >map-key.m3u8
{ key first; map init-first; key other; } | playlist other >key-map-key.m3u8
{ key first; map init-first; } | playlist first >key-map.m3u8

cat >round-trip.py <<'PY'
import sys, m3u8
sys.stdout.write(m3u8.loads(sys.stdin.read()).dumps())
PY
cat >round-trip.mjs <<'JS'
import { readFileSync } from 'node:fs';
import HLS from 'hls-parser';
process.stdout.write(HLS.stringify(HLS.parse(readFileSync(0, 'utf8'))));
JS
frames() {
  "$ffmpeg" -nostdin -v quiet -allowed_extensions ALL -i "$1" -map 0:v -f framecrc - | grep -vc '^#' || true
}
"$ffmpeg" -version | head -n 1
wrong=0
for name in key-map map-key key-map-key; do
  venv/bin/python round-trip.py <"$name.m3u8" >"$name-m3u8.m3u8"
  node round-trip.mjs <"$name.m3u8" >"$name-hls-parser.m3u8"
  seen="$(frames "$name.m3u8") as written, $(frames "$name-m3u8.m3u8") after m3u8 $M3U8, $(frames "$name-hls-parser.m3u8") after hls-parser $HLS_PARSER"
  echo "$name: frames $seen"
  expected="200 as written, 0 after m3u8 $M3U8, 0 after hls-parser $HLS_PARSER"
  [ "$name" != key-map ] || expected="200 as written, 200 after m3u8 $M3U8, 200 after hls-parser $HLS_PARSER"
  [ "$seen" = "$expected" ] || { echo "changed: expected $expected"; wrong=1; }
done
exit "$wrong"
