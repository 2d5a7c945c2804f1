#!/usr/bin/env bash
# VLC ends at the first EXT-X-DISCONTINUITY of a playlist of fragmented MP4, even where nothing changes.
#
# One would guess that the tag is harmless: it says that what follows may differ in encoding or timestamps (RFC
# 8216bis, 4.4.4.3), and a player resets its decoder. With MPEG-TS VLC does that. With fragmented MP4 it opens a new
# demuxer, does not give the initialisation section of EXT-X-MAP to it, and ends: without an error for the viewer,
# although all segments are of one encoder, one after the other, and whether EXT-X-MAP is repeated behind the tag or
# not. The same playlist without the tag plays to its end.
#
# How the field is touched: every inserted advertisement, every restart of an encoder and every failover between two
# sources is such a tag, and fragmented MP4 (CMAF) is what new packagers write. A viewer with VLC leaves at the first
# one. No playlist that keeps the rules avoids it; the same streams as MPEG-TS do.
set -euo pipefail

VLC=3.0.24 # Debian's, of which vlc-bin and vlc-plugin-base are enough
IMAGEIO_FFMPEG=0.8.1
version=$(dpkg-query --show --showformat '${Version}' vlc-bin)
[[ $version == "$VLC"-* ]] || { echo "vlc-bin is $version, not $VLC" >&2; exit 1; }
folder=$(mktemp -d)
server=
trap 'kill $server 2>/dev/null || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "imageio-ffmpeg==$IMAGEIO_FFMPEG"
ffmpeg=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
mkdir -m 777 sockets
for type in fmp4 mpegts; do
  mkdir $type
  "$ffmpeg" -nostdin -v error -f lavfi -i testsrc2=size=320x180:rate=15 -f lavfi -i sine=330:sample_rate=48000 -t 12 \
    -map 0:v -map 1:a -c:v libx264 -preset ultrafast -tune zerolatency -g 30 -keyint_min 30 -sc_threshold 0 \
    -pix_fmt yuv420p -c:a aac -f hls -hls_time 2 -hls_playlist_type vod -hls_segment_type $type $type/plain.m3u8
  # The tag stands in front of the fourth of six segments, and in the third list the map is repeated behind it.
  awk '/^#EXTINF/ && ++n == 4 { print "#EXT-X-DISCONTINUITY" } { print }' $type/plain.m3u8 >$type/tag.m3u8
done
awk '{ print } /^#EXT-X-DISCONTINUITY/ { print "#EXT-X-MAP:URI=\"init.mp4\"" }' fmp4/tag.m3u8 >fmp4/tag-and-map.m3u8

cat >play.py <<'PY'
"""Prints how many frames VLC has shown when it has stopped showing new ones."""
import os, re, socket, subprocess, sys, time
address, path = sys.argv[1:]
# VLC refuses to run as root.
user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
player = subprocess.Popen([*user, "vlc", "--intf=dummy", "--extraintf=oldrc", "--rc-fake-tty", f"--rc-unix={path}", "--vout=dummy",
    "--aout=dummy", address], env={**os.environ, "HOME": "/nonexistent"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
def shown():
    try:
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(path); control.sendall(b"stats\n"); time.sleep(.3)
            return int((re.search(rb"frames displayed\s*:\s*(\d+)", control.recv(9999)) or [0, 0])[1])
    except OSError: return 0
most, moved, began = 0, time.monotonic(), time.monotonic()
while time.monotonic() - began < 60 and (most == 0 or time.monotonic() - moved < 6):
    now = shown()
    if now > most: most, moved = now, time.monotonic()
    time.sleep(.2)
player.kill(); player.wait()
print(most)
PY
read -r port < <(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
python3 -m http.server --bind 127.0.0.1 "$port" >/dev/null 2>&1 &
server=$!
sleep 1
declare -A frames
for list in fmp4/plain fmp4/tag fmp4/tag-and-map mpegts/plain mpegts/tag; do
  frames[$list]=$(python3 play.py "http://127.0.0.1:$port/$list.m3u8" "$folder/sockets/${list////-}")
  echo "VLC $VLC shows ${frames[$list]} of 180 frames of $list"
done
for list in fmp4/plain mpegts/plain mpegts/tag; do [ "${frames[$list]}" -gt 125 ] || exit 1; done
for list in fmp4/tag fmp4/tag-and-map; do [ "${frames[$list]}" -gt 20 ] && [ "${frames[$list]}" -lt 100 ] || exit 1; done
