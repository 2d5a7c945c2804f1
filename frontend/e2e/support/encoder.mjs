// A third-party live stream: Debian's ffmpeg encodes, Debian's nginx serves the folder.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { tempFolder } from './edge.mjs';
import { startNginx } from './nginx.mjs';
import { eventually, freePort, startProcess } from './process.mjs';

/** Encodes and serves until the test ends. `stop` stops nginx before that, `serve` starts nginx again. */
export async function startEncoder(t, muxer) {
	const folder = tempFolder(t);
	const live = path.join(folder, 'live');
	mkdirSync(live);
	const port = await freePort();
	const serve = () =>
		startNginx(
			t,
			folder,
			`access_log off; default_type application/octet-stream;
			server { listen 127.0.0.1:${port}; root ${folder}; }`,
		);
	const server = serve();
	// prettier-ignore
	const ffmpeg = startProcess('ffmpeg', [
		'-hide_banner', '-loglevel', 'error', '-re',
		'-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=25',
		'-f', 'lavfi', '-i', 'sine=frequency=330:sample_rate=48000',
		'-t', '600',
		'-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '50', '-keyint_min', '50',
		'-sc_threshold', '0', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-b:a', '64k',
		'-f', 'hls', '-hls_time', '2', '-hls_list_size', '6', ...muxer,
		path.join(live, 'index.m3u8'),
	]);
	t.after(() => ffmpeg.stop());
	const url = `http://127.0.0.1:${port}/live/index.m3u8`;
	await eventually(
		async () => (await (await fetch(url)).text()).split('#EXTINF').length > 3,
		`segments at ${url} (nginx: ${server.output()}; ffmpeg: ${ffmpeg.output()})`,
	);
	return { url, folder, serve, stop: () => server.stop() };
}
