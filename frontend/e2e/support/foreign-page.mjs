// A page of another site that plays streams of the edge with an unmodified hls.js.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT, listen } from './process.mjs';

const HLS = readFileSync(path.join(ROOT, 'frontend/node_modules/hls.js/dist/hls.js'));
const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>Another site</title>
<video muted width="256" height="144"></video><script src="/hls.js"></script><script>${inPage}\ninPage();</script>`;

/** The site has another host name and port than the edge: requests are cross-site as well as cross-origin. */
export async function startForeignSite(t) {
	const server = createServer((request, response) => {
		const [type, body] = request.url === '/hls.js' ? ['text/javascript', HLS] : ['text/html', PAGE];
		response.writeHead(200, {
			'content-type': type,
			// Cross-origin isolation is the strictest case: the page loads only responses that allow it explicitly.
			'cross-origin-opener-policy': 'same-origin',
			'cross-origin-embedder-policy': 'require-corp',
		});
		response.end(body);
	});
	const port = await listen(t, server);
	return `http://localhost:${port}`;
}

/** Runs in the page: its source text is inserted into the page's HTML. */
function inPage() {
	const Hls = window.Hls;
	const video = document.querySelector('video');
	const recorded = { errors: [], parts: 0, ranges: [], audio: {}, keys: 0, discontinuity: 0 };
	let hls;
	window.player = {
		version: Hls.version,
		play(url) {
			hls = new Hls();
			hls.on(Hls.Events.ERROR, (_, { type, details, fatal, error }) =>
				recorded.errors.push({ type, details, fatal, message: String(error?.message ?? '') }),
			);
			hls.on(Hls.Events.FRAG_LOADED, (_, { frag, part }) => {
				if (part) recorded.parts++;
				const [begin, end] = frag.byteRange;
				if (end) recorded.ranges.push({ wanted: end - begin, received: frag.stats.loaded });
			});
			hls.on(Hls.Events.KEY_LOADED, () => recorded.keys++);
			// The discontinuity sequence number of the fragment on screen.
			hls.on(Hls.Events.FRAG_CHANGED, (_, { frag }) => (recorded.discontinuity = frag.cc));
			hls.on(Hls.Events.FRAG_BUFFERED, (_, { frag }) => {
				if (frag.type === 'audio') recorded.audio[frag.level] = (recorded.audio[frag.level] ?? 0) + 1;
			});
			hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());
			hls.loadSource(url);
			hls.attachMedia(video);
		},
		state: () => ({
			...recorded,
			time: video.currentTime,
			paused: video.paused,
			width: video.videoWidth,
			latency: hls.latency,
			audioTracks: hls.audioTracks.map((track) => track.lang),
			audioTrack: hls.audioTrack,
			subtitleTracks: hls.subtitleTracks.map((track) => track.lang),
			cues: [...video.textTracks].flatMap((track) => [...(track.activeCues ?? [])].map((cue) => cue.text)),
		}),
		goLive: () => (video.currentTime = hls.liveSyncPosition),
		listenTo: (track) => (hls.audioTrack = track),
		read: (track) => {
			hls.subtitleDisplay = true;
			hls.subtitleTrack = track;
		},
	};
}
