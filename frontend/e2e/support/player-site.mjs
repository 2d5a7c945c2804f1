// Pages that play a stream with an unmodified player, served from another origin than the stream's.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT, listen } from './process.mjs';

const SCRIPTS = {
	'hls.js': 'hls.js/dist/hls.js',
	Shaka: 'shaka-player/dist/shaka-player.compiled.js',
	'video.js': 'video.js/dist/video.js',
};
const OWN = "the browser's own";

/** Names of the players that a page can play with. */
export const PAGE_PLAYERS = [...Object.keys(SCRIPTS), OWN];

/**
 * `/?name=…&url=…` plays a stream. With `report=ID` the page also measures what it plays, with sound, and posts it
 * twice a second; `reports` maps the id to the last report. `/wall?address=…&address=…` shows several such pages at
 * once, because browsers do not decode what is hidden.
 */
export async function startPlayerSite(t) {
	const files = Object.fromEntries(
		Object.entries(SCRIPTS).map(([name, file]) => [
			name,
			readFileSync(path.join(ROOT, 'frontend/node_modules', file)),
		]),
	);
	const reports = new Map();
	const server = createServer(async (request, response) => {
		const { pathname, searchParams } = new URL(request.url, 'http://localhost');
		if (pathname === '/report') {
			const chunks = [];
			for await (const chunk of request) chunks.push(chunk);
			reports.set(searchParams.get('id'), JSON.parse(Buffer.concat(chunks).toString()));
			return response.writeHead(204).end();
		}
		const script = files[decodeURIComponent(pathname.slice(1))];
		response.writeHead(200, { 'content-type': script ? 'text/javascript' : 'text/html' });
		if (script) return response.end(script);
		response.end(pathname === '/wall' ? wallOf(searchParams.getAll('address')) : pageOf(searchParams, files));
	});
	const port = await listen(t, server);
	return { url: `http://localhost:${port}`, reports };
}

const wallOf = (addresses) =>
	`<!doctype html><meta charset="utf-8"><title>Players</title>${addresses
		.map(
			(address) =>
				`<iframe width="200" height="130" allow="autoplay" src="${address.replaceAll('&', '&amp;')}"></iframe>`,
		)
		.join('')}`;

function pageOf(parameters, files) {
	const name = parameters.get('name');
	const [muted, measure] = parameters.has('report')
		? ['', `${measureInPage}\nmeasureInPage();`]
		: ['muted', ''];
	return `<!doctype html><meta charset="utf-8"><title>${name}</title><video ${muted} autoplay width="256" height="144"></video>
		${files[name] ? `<script src="/${encodeURIComponent(name)}"></script>` : ''}<script>${inPage}\ninPage();${measure}</script>`;
}

/** Runs in the page, and starts the player as its documentation says. */
function inPage() {
	const query = new URLSearchParams(location.search);
	const [name, url] = [query.get('name'), query.get('url')];
	const video = document.querySelector('video');
	window.output = [];
	const report = (what) => window.output.push(what);
	video.addEventListener('error', () => report(`video: ${video.error.message}`));
	const players = {
		'hls.js'() {
			const hls = new window.Hls();
			hls.on(window.Hls.Events.ERROR, (_, { details, fatal }) =>
				report(`${details}${fatal ? ', fatal' : ''}`),
			);
			hls.loadSource(url);
			hls.attachMedia(video);
		},
		async Shaka() {
			window.shaka.polyfill.installAll();
			const player = new window.shaka.Player();
			await player.attach(video);
			player.addEventListener('error', ({ detail }) => report(`${detail.code}, severity ${detail.severity}`));
			await player.load(url);
		},
		'video.js'() {
			const player = window.videojs(video, { html5: { vhs: { overrideNative: true } } });
			player.on('error', () => report(player.error().message));
			player.src({ src: url, type: 'application/x-mpegURL' });
			player.play();
		},
		"the browser's own"() {
			video.src = url;
		},
	};
	Promise.resolve(players[name]()).catch((error) => report(String(error?.code ?? error)));
}

/** Runs in the page: counts decoded frames and the seconds in which sound was decoded. */
function measureInPage() {
	const id = new URLSearchParams(location.search).get('report');
	const video = document.querySelector('video');
	const played = { frames: 0, sound: 0 };
	const last = { frames: 0, heard: 0, at: performance.now() };
	// Only Chromium tells what sound it has decoded: elsewhere sound counts while a video with a sound track moves.
	const hasSound = () => video.mozHasAudio ?? video.audioTracks?.length > 0;
	const heard = () => video.webkitAudioDecodedByteCount ?? (hasSound() ? video.currentTime : 0);
	setInterval(() => {
		const frames = video.getVideoPlaybackQuality().totalVideoFrames;
		// A player that loads its media anew counts from 0.
		played.frames += frames >= last.frames ? frames - last.frames : frames;
		last.frames = frames;
		const now = performance.now();
		if (heard() !== last.heard) played.sound += (now - last.at) / 1000;
		[last.at, last.heard] = [now, heard()];
		const body = JSON.stringify({ ...played, output: window.output.slice(-5).join('; ') });
		void fetch(`/report?id=${id}`, { method: 'POST', body });
	}, 500);
}
