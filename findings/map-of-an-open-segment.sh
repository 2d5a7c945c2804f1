#!/usr/bin/env bash
# hls-parser writes the EXT-X-MAP of a segment that is still growing as an EXT-X-KEY.
#
# One would guess that a low-latency playlist that is parsed and written again without a change is the same
# playlist. At the live edge it ends in EXT-X-PART tags whose segment has no EXTINF yet (RFC 8216bis, 4.4.4.9).
# Before these parts hls-parser prints `#EXT-X-KEY:METHOD=undefined,URI="init.mp4"`: the attributes of the map under
# the name of the key. It happens to every low-latency playlist of fragmented MP4 that has such parts, none of which
# is encrypted, and never when the playlist happens to end with a whole segment, so that a test with a recorded
# playlist passes.
#
# How the field is touched: the library stands in restreamers and ad inserters for low latency. hls.js 1.7.4 plays what
# it writes; Shaka Player 5.2.12 ends with error 4026 before the first frame, and only of those viewers who come while
# a segment is open (both seen in Chromium 156; the script looks at the playlist alone).
set -euo pipefail

HLS_PARSER=0.16.1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --prefix . "hls-parser@$HLS_PARSER" >/dev/null
cat >live.m3u8 <<'M3U'
#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3
#EXT-X-PART-INF:PART-TARGET=1
#EXT-X-MEDIA-SEQUENCE:5
#EXT-X-MAP:URI="init.mp4"
#EXTINF:4,
5.m4s
#EXT-X-PART:DURATION=1,URI="6-0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=1,URI="6-1.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="6-2.m4s"
M3U
head -n 9 live.m3u8 >whole.m3u8
cat >round-trip.mjs <<'JS'
import { readFileSync } from 'node:fs';
import HLS from 'hls-parser';
process.stdout.write(HLS.stringify(HLS.parse(readFileSync(0, 'utf8'))) + '\n');
JS
keys() { node round-trip.mjs <"$1" | grep '^#EXT-X-KEY' || true; }
open=$(keys live.m3u8)
whole=$(keys whole.m3u8)
echo "hls-parser $HLS_PARSER: keys with an open segment: ${open:-none}; with whole segments only: ${whole:-none}"
[ "$open" = '#EXT-X-KEY:METHOD=undefined,URI="init.mp4"' ] && [ -z "$whole" ]
