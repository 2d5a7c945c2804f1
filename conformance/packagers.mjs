// Packagers: each writes a live HLS stream of two-second segments into a folder until it is stopped.
import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort, startProcess } from '../frontend/e2e/support/process.mjs';
import { findProgram, unprivileged } from './programs.mjs';

export const FRAME_RATE = 15;
const SEGMENT_SECONDS = 2;
const GOP = FRAME_RATE * SEGMENT_SECONDS;

// prettier-ignore
const INPUT = [
	'-nostdin', '-loglevel', 'error',
	'-re', '-f', 'lavfi', '-i', `testsrc2=size=320x180:rate=${FRAME_RATE}`,
	'-re', '-f', 'lavfi', '-i', 'sine=frequency=330:sample_rate=48000', '-t', '3600',
];
const SOUND = ['-c:a', 'aac', '-ac', '2', '-b:a', '64k'];
/**
 * Encoders of the picture. `main` and `other` have the same CODECS with other parameter sets; `baseline` has another
 * profile.
 */
const x264 = (profile, preset, ...more) =>
	// prettier-ignore
	['-c:v', 'libx264', '-profile:v', profile, '-preset', preset, '-pix_fmt', 'yuv420p', '-g', GOP, '-keyint_min', GOP,
		'-sc_threshold', '0', ...more].map(String);
const ENCODERS = {
	main: x264('main', 'ultrafast', '-tune', 'zerolatency', '-coder', '1', '-level', '3.1'),
	other: x264('main', 'veryfast', '-bf', '2', '-refs', '3', '-level', '3.1'),
	baseline: x264('baseline', 'ultrafast', '-tune', 'zerolatency'),
};
/** Names of what a packager may be told to encode with; the first is the usual one. */
export const ENCODINGS = Object.keys(ENCODERS);

// prettier-ignore
const FFMPEG_LIST = [
	'-f', 'hls', '-hls_time', String(SEGMENT_SECONDS), '-hls_list_size', '6', '-hls_delete_threshold', '3', '-hls_flags', 'delete_segments',
];
const FMP4 = ['-hls_segment_type', 'fmp4'];
const APART = [
	'-var_stream_map',
	'a:0,agroup:sound,default:yes v:0,agroup:sound',
	'-master_pl_name',
	'index.m3u8',
];

function ffmpegPackager(name, program, muxer, output = 'index.m3u8') {
	return {
		name,
		programs: [program],
		start: async (folder, encoding) =>
			startProcess(
				await findProgram(program),
				[
					...INPUT,
					'-map',
					'0:v',
					'-map',
					'1:a',
					...ENCODERS[encoding],
					...SOUND,
					...FFMPEG_LIST,
					...muxer,
					output,
				],
				{ cwd: folder },
			),
	};
}

/** Starts ffmpeg as the encoder in front of another packager, and stops both as one. */
async function startBehindEncoder(folder, encoding, output, start) {
	const packager = await start();
	const encoder = startProcess('ffmpeg', ['-y', ...INPUT, ...ENCODERS[encoding], ...SOUND, ...output], {
		cwd: folder,
	});
	return {
		output: () => `${encoder.output()} ${packager.output()}`,
		stop: async (signal) => {
			await encoder.stop(signal);
			await packager.stop(signal);
		},
	};
}

/** The name of a new pipe in the folder, through which an encoder feeds a packager. */
function makePipe(folder) {
	const pipe = path.join(folder, `input-${process.hrtime.bigint()}.ts`);
	execFileSync('mkfifo', ['-m', '666', pipe]);
	return pipe;
}

function shakaPackager(name, media) {
	return {
		name,
		programs: ['packager'],
		async start(folder, encoding) {
			const pipe = makePipe(folder);
			const program = await findProgram('packager');
			// prettier-ignore
			const descriptors = ['video', 'audio'].map((kind) => [
				`in=${pipe}`, `stream=${kind}`, ...media(kind), `playlist_name=${kind}.m3u8`,
				...(kind === 'audio' ? ['hls_group_id=audio', 'hls_name=Sound'] : []),
			].join(','));
			return startBehindEncoder(folder, encoding, ['-f', 'mpegts', pipe], async () =>
				// prettier-ignore
				startProcess(program, [
					...descriptors, '--hls_master_playlist_output=index.m3u8', '--hls_playlist_type=LIVE',
					`--segment_duration=${SEGMENT_SECONDS}`, '--time_shift_buffer_depth=12', '--preserved_segments_outside_live_window=3',
					'--io_block_size=4096',
				], { cwd: folder }),
			);
		},
	};
}

const X264_OF_GSTREAMER = {
	main: 'x264enc tune=zerolatency speed-preset=ultrafast cabac=true ! video/x-h264,profile=main',
	other: 'x264enc speed-preset=veryfast bframes=2 ref=3 ! video/x-h264,profile=main',
	baseline: 'x264enc tune=zerolatency speed-preset=ultrafast ! video/x-h264,profile=baseline',
};
const gstreamer = {
	name: 'GStreamer hlssink2',
	programs: ['gst-launch-1.0'],
	start: async (folder, encoding) =>
		startProcess(
			'gst-launch-1.0',
			`-q hlssink2 name=hls target-duration=${SEGMENT_SECONDS} playlist-length=6 max-files=9 location=${folder}/%05d.ts
			playlist-location=${folder}/index.m3u8
			videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=${FRAME_RATE}/1
			! ${X264_OF_GSTREAMER[encoding].replace(' !', ` key-int-max=${GOP} !`)} ! h264parse ! queue ! hls.video
			audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! avenc_aac ! aacparse ! queue ! hls.audio`.split(
				/\s+/,
			),
		),
};

const nginxRtmp = {
	name: 'nginx-rtmp',
	programs: ['ngx_rtmp_module.so'],
	async start(folder, encoding) {
		const port = await freePort();
		const config = path.join(folder, 'rtmp.conf');
		writeFileSync(
			config,
			`load_module ${await findProgram('ngx_rtmp_module.so')};
			daemon off; master_process off; pid ${folder}/rtmp.pid; error_log stderr warn;
			events {}
			rtmp { access_log off; server { listen 127.0.0.1:${port}; application live {
				live on; hls on; hls_path ${folder}; hls_fragment ${SEGMENT_SECONDS}s; hls_playlist_length ${6 * SEGMENT_SECONDS}s;
			} } }`,
		);
		return startBehindEncoder(
			folder,
			encoding,
			['-f', 'flv', `rtmp://127.0.0.1:${port}/live/index`],
			async () => {
				const server = startProcess('/usr/sbin/nginx', ['-p', folder, '-c', config, '-e', 'stderr']);
				await new Promise((resolve) => setTimeout(resolve, 500));
				return server;
			},
		);
	},
};

const vlc = {
	name: 'VLC livehttp',
	programs: ['vlc'],
	async start(folder, encoding) {
		chmodSync(folder, 0o777);
		const pipe = makePipe(folder);
		return startBehindEncoder(folder, encoding, ['-f', 'mpegts', pipe], async () => {
			const [command, ...args] = unprivileged([
				'vlc',
				'--intf=dummy',
				'--sout-ts-use-key-frames',
				`--sout=#std{access=livehttp{seglen=${SEGMENT_SECONDS},delsegs=true,numsegs=6,index=${folder}/index.m3u8,index-url=########.ts},mux=ts{use-key-frames},dst=${folder}/########.ts}`,
				`file://${pipe}`,
			]);
			return startProcess(command, args, {
				env: { ...process.env, HOME: '/nonexistent' },
			});
		});
	},
};

/** Liquidsoap makes radio: a stream without a picture. */
const liquidsoap = {
	name: 'liquidsoap',
	programs: ['liquidsoap'],
	soundOnly: true,
	async start(folder) {
		chmodSync(folder, 0o777);
		const script = path.join(folder, 'radio.liq');
		writeFileSync(
			script,
			`set("log.stdout", true)
			output.file.hls(playlist="index.m3u8", segment_duration=${SEGMENT_SECONDS}.0, segments=6, segments_overhead=3, "${folder}",
				[("sound", %ffmpeg(format="mpegts", %audio(codec="aac", b="64k", samplerate=44100)))], sine(330.))\n`,
		);
		const [command, ...args] = unprivileged(['liquidsoap', script]);
		return startProcess(command, args, {
			cwd: folder,
			env: { ...process.env, HOME: folder },
		});
	},
};

export const PACKAGERS = [
	ffmpegPackager('ffmpeg 5.1 TS', 'ffmpeg', []),
	ffmpegPackager('ffmpeg 5.1 fMP4', 'ffmpeg', FMP4),
	ffmpegPackager('ffmpeg 5.1 TS, sound apart', 'ffmpeg', APART, '%v.m3u8'),
	ffmpegPackager('ffmpeg 5.1 fMP4, sound apart', 'ffmpeg', [...FMP4, ...APART], '%v.m3u8'),
	...['4.2', '7.0', '8.1', '9.0'].flatMap((version) => [
		ffmpegPackager(`ffmpeg ${version} TS`, `ffmpeg-${version}`, []),
		ffmpegPackager(`ffmpeg ${version} fMP4`, `ffmpeg-${version}`, FMP4),
	]),
	ffmpegPackager('ffmpeg 9.0 fMP4, sound apart', 'ffmpeg-9.0', [...FMP4, ...APART], '%v.m3u8'),
	shakaPackager('shaka-packager fMP4', (kind) => [
		`init_segment=${kind}-init.mp4`,
		`segment_template=${kind}-$Number$.m4s`,
	]),
	shakaPackager('shaka-packager TS', (kind) => [
		`segment_template=${kind}-$Number$.${kind === 'audio' ? 'aac' : 'ts'}`,
	]),
	gstreamer,
	nginxRtmp,
	vlc,
	liquidsoap,
];
