#!/bin/sh
# Makes the origin's media: ./make.sh   (ffmpeg with librsvg, awk, DejaVu fonts; about three minutes on two cores)
#
# Four feeds of one made-up programme, 24 s each, looped for ever by the origin. Every choice below
# serves that loop:
#   24 s       is 600 frames at 25 fps, 12 segments of 2 s and exactly 1125 AAC frames at 48 kHz.
#   Video      closed GOPs of 50 frames, no scene cuts, no B-frames: decode order is display order.
#   Audio      is periodic, three loops are encoded and the middle one is kept: no encoder delay at
#              the start, and the decoder's overlap at the seam is the right one.
#   bitexact   the same ffmpeg and x264 give the same bytes (one thread: slicing does not vary).
# Layout: {feed}/{v720,v360,v180,a}/{init.mp4,0..11.m4s}; pit-lane is MPEG-TS: {0..11.ts}.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sans=/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf
mono=/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf
ff="ffmpeg -nostdin -hide_banner -loglevel error -y"

# segment SOURCE DIR CONTAINER: cuts at keyframes (video) or AAC frames (audio) every 2 s.
segment() {
    mkdir -p "$2"
    case $3 in
    mp4) $ff -i "$1" -c copy -map_metadata -1 -fflags +bitexact -flags +bitexact \
        -f hls -hls_time 2 -hls_list_size 0 -hls_segment_type fmp4 \
        -hls_segment_options movflags=+skip_sidx:use_editlist=0:video_track_timescale=90000 \
        -hls_fmp4_init_filename init.mp4 -hls_segment_filename "$2/%d.m4s" "$work/x.m3u8"
        mv "$work/init.mp4" "$2/" 2>/dev/null || true ;;
    ts) $ff -i "$1" -c copy -map_metadata -1 -fflags +bitexact -flags +bitexact \
        -f hls -hls_time 2 -hls_list_size 0 -hls_segment_type mpegts \
        -muxdelay 0 -muxpreload 0 -hls_segment_options pat_period=10:sdt_period=86400 \
        -hls_segment_filename "$2/%d.ts" "$work/x.m3u8" ;;
    esac
}

# video FEED NAME ACCENT CONTAINER HEIGHT LEVEL CRF KBIT/S
video() {
    h=$5
    chrome="scale=-2:$h:flags=lanczos,format=yuv420p"
    chrome="$chrome,drawbox=x=iw*0.0375:y=ih*0.0639:w=ceil(iw*0.0055):h=ih*0.0972:color=$3:t=fill"
    chrome="$chrome,drawtext=fontfile=$sans:text='$2':x=w*0.0535:y=h*0.066:fontsize=h*0.058:fontcolor=white"
    chrome="$chrome,drawtext=fontfile=$sans:text='DEMO SIGNAL  ${h}p':x=w*0.0545:y=h*0.137:fontsize=h*0.0265:fontcolor=$3"
    chrome="$chrome,drawtext=fontfile=$mono:text='%{pts\:hms}':x=w*0.9625-tw:y=h*0.066:fontsize=h*0.0585:fontcolor=white"
    $ff -i "$work/$1.mkv" -vf "$chrome" -an -fflags +bitexact -flags +bitexact+cgop -threads 1 \
        -c:v libx264 -profile:v high -level "$6" -preset veryslow -crf "$7" \
        -maxrate "$8k" -bufsize "$(($8 * 2))k" -bf 0 -g 50 -keyint_min 50 -sc_threshold 0 -r 25 \
        -x264-params aq-mode=3:force-cfr=1 -color_primaries bt709 -color_trc bt709 -colorspace bt709 \
        "$work/$1-$h.mkv"
    segment "$work/$1-$h.mkv" "$1/v$h" "$4"
}

# audio FEED CONTAINER LEFT RIGHT: expressions of t that repeat every 24 s.
audio() {
    mkdir -p "$1/a"
    $ff -f lavfi -i "aevalsrc='$3|$4':s=48000:d=72" -fflags +bitexact -flags +bitexact \
        -c:a aac -b:a 40k -ac 2 "$work/$1.m4a"
    # Packets by number: 0 is the encoder's delay, 1126..2250 are the middle loop.
    $ff -i "$work/$1.m4a" -c copy -fflags +bitexact \
        -bsf:a "noise=drop='lt(n,1126)+gt(n,2250)',setts=ts='N*1024'" "$work/$1-a.nut"
    segment "$work/$1-a.nut" "$1/a" "$2"
}

# feed ID NAME ACCENT CONTAINER LEFT RIGHT
feed() {
    rm -rf "./$1" "$work/svg"
    mkdir -p "$work/svg"
    awk -v feed="$1" -v dir="$work/svg" -f draw.awk
    $ff -framerate 25 -i "$work/svg/%04d.svg" -vf "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p" \
        -c:v libx264 -preset ultrafast -qp 4 -bf 0 "$work/$1.mkv"
    video "$1" "$2" "$3" "$4" 720 3.1 32 240
    video "$1" "$2" "$3" "$4" 360 3.0 30 92
    video "$1" "$2" "$3" "$4" 180 1.3 30 44
    audio "$1" "$4" "$5" "$6"
    du -sk "$1"
}

pad() { echo "0.06*sin(2*PI*$1*t)*(0.7+0.3*sin(2*PI*t/12))+0.04*sin(2*PI*$2*t)*(0.7+0.3*cos(2*PI*t/8))"; }
ping() { echo "0.07*sin(2*PI*$1*t)*exp(-5*mod(t\,2))*min(1\,200*mod(t\,2))"; }
hum() { echo "0.05*sin(2*PI*$1*t+6*sin(2*PI*t/6))+0.025*sin(4*PI*$1*t+12*sin(2*PI*t/6))"; }

feed world-feed 'World feed' 0xFFB020 mp4 "$(pad 110 165)+$(ping 660)" "$(pad 110 220)+$(ping 660)"
feed onboard-7 'Onboard 7' 0x35C9F5 mp4 "$(hum 82)+$(ping 440)" "$(hum 82.5)+$(ping 440)"
feed onboard-22 'Onboard 22' 0xB18CFF mp4 "$(hum 98)+$(ping 550)" "$(hum 98.5)+$(ping 550)"
feed pit-lane 'Pit lane' 0x7EE36B ts "$(pad 130.5 196)+$(ping 880)" "$(pad 130.5 261)+$(ping 880)"
