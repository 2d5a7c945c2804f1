#!/usr/bin/env bash
# GStreamer plays what follows an EXT-X-DISCONTINUITY in fragmented MP4 at the same time as what comes before it.
#
# One would guess that the tag does what it is for: timestamps may begin anew behind it (RFC 8216bis, 4.4.4.3), and the
# player goes on where it was. With MPEG-TS GStreamer does that: twice eight seconds last sixteen. With fragmented MP4
# both elements that play HLS, hlsdemux (playbin) and hlsdemux2 (playbin3), hand on the timestamps of the fragments as
# they are: pictures of both halves reach the sink with the same times, and all is over after eight seconds, without an
# error. Where the second half counts from later on instead, as one of a live encoder does, the sink waits.
#
# How the field is touched: set-top boxes, WPE and many televisions play through GStreamer. An inserted advertisement, a
# restarted encoder or a failover between two sources of fragmented MP4 flickers or freezes there, while every browser
# plays the same playlist; a count of frames, of errors or of exit codes tells nothing.
set -euo pipefail

GSTREAMER=1.22.0 # Debian's: tools, plugins base, good, bad and libav
IMAGEIO_FFMPEG=0.8.1
version=$(dpkg-query --show --showformat '${Version}' gstreamer1.0-plugins-bad)
[[ $version == "$GSTREAMER"-* ]] || { echo "gstreamer1.0-plugins-bad is $version, not $GSTREAMER" >&2; exit 1; }
folder=$(mktemp -d)
server=
trap 'kill $server 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "imageio-ffmpeg==$IMAGEIO_FFMPEG"
ffmpeg=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
for type in fmp4 mpegts; do
  mkdir $type
  "$ffmpeg" -nostdin -v error -f lavfi -i testsrc2=size=320x180:rate=15 -f lavfi -i sine=330:sample_rate=48000 -t 8 \
    -map 0:v -map 1:a -c:v libx264 -preset ultrafast -tune zerolatency -g 30 -keyint_min 30 -sc_threshold 0 \
    -pix_fmt yuv420p -c:a aac -f hls -hls_time 2 -hls_playlist_type vod -hls_segment_type $type $type/once.m3u8
  {
    sed '/ENDLIST/d' $type/once.m3u8
    echo '#EXT-X-DISCONTINUITY'
    sed -n '/^#EXT-X-MAP/p; /^#EXTINF/p; /^once/p; /ENDLIST/p' $type/once.m3u8
  } >$type/twice.m3u8
done
read -r port < <(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
python3 -m http.server --bind 127.0.0.1 "$port" >/dev/null 2>&1 &
server=$!
sleep 1
for element in playbin playbin3; do
  for type in fmp4 mpegts; do
    timeout 60 gst-launch-1.0 -v $element uri="http://127.0.0.1:$port/$type/twice.m3u8" \
      'video-sink=fakesink name=picture silent=false sync=true' 'audio-sink=fakesink sync=true' >output 2>&1
    frames=$(grep -c 'chain.*(picture:sink)' output)
    seconds=$(sed -n 's/^Execution ended after 0:00:\([0-9]*\).*/\1/p' output)
    echo "GStreamer $GSTREAMER, $element: $frames frames of 16 s of $type are over after $((10#$seconds)) s"
    [ "$frames" -gt 200 ]
    case $type in
      fmp4) [ "$((10#$seconds))" -lt 12 ] ;;
      mpegts) [ "$((10#$seconds))" -ge 15 ] ;;
    esac
  done
done
