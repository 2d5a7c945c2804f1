// Third-party players on a third-party site play streams of third-party origins through the edge, and no response
// of the edge reveals an origin.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, strayRequests } from './support/browser.mjs';
import { installCurrentFfmpeg, decodeSeconds, playWithMpv, probeCodecs } from './support/native-players.mjs';
import { waitUntilHealthy, sourceSection, startEdge } from './support/edge.mjs';
import {
	encodeFragments,
	startConformanceInputs,
	REFERER,
	SECRET_NAME,
	SECRET_TOKEN,
} from './support/conformance-inputs.mjs';
import { lowLatencyOrigin, PART_SECONDS } from './support/low-latency-origin.mjs';
import { startForeignSite } from './support/foreign-page.mjs';
import { eventually } from './support/process.mjs';
import { encodings, startLeakProxy } from './support/leak-proxy.mjs';

/** An `input` is played by its URL through /proxy, a `stream` by its configured name through /live. */
const ROWS = [
	{ name: 'low latency, by URL', input: 'lowLatency', latency: true },
	{ name: 'low latency, a stream', stream: 'low-latency', latency: true },
	{ name: 'live MPEG-TS named .png, with a Referer, a stream', stream: 'live-ts' },
	{ name: 'live, two languages and subtitles named .html, a stream', stream: 'live-tracks', tracks: true },
	{ name: 'MPEG-TS named .jpg', input: 'ts' },
	{ name: 'fMP4 without extensions', input: 'fmp4' },
	{ name: 'AES-128 without IV, named .txt', input: 'aes', key: true },
	{ name: 'AES-128 with IV', input: 'aes-iv', key: true },
	{ name: 'ranges of one MPEG-TS file', input: 'one-ts', ranges: true },
	{ name: 'ranges of one MP4 file', input: 'one-mp4', ranges: true },
	{ name: 'two languages and subtitles, after a redirect', input: 'redirected', tracks: true },
	{ name: 'subtitles named .html', input: 'masked', tracks: true },
];

/** What is checked in hls.js beyond playback, by the property of a row that asks for the check. */
const CHECKS = {
	async key({ state, requests }) {
		assert.ok((await state()).keys > 0, 'a key was loaded');
		const keys = requests().filter((url) => new URL(url).pathname.endsWith('.key'));
		assert.equal(keys.length, 1, 'once, from the edge');
	},

	async ranges({ state }) {
		const { ranges } = await state();
		assert.ok(ranges.length > 1);
		assert.deepEqual(
			ranges.filter(({ wanted, received }) => wanted !== received),
			[],
			'no more comes than was asked for',
		);
	},

	async tracks({ page, state }) {
		const { audioTracks, subtitleTracks } = await state();
		assert.deepEqual(audioTracks, ['en', 'de']);
		assert.deepEqual(subtitleTracks, ['en']);
		await page.evaluate(() => window.player.read(0));
		await eventually(async () => /^cue \d+$/.test((await state()).cues[0]), 'a cue is shown', 15);
		await page.evaluate(() => window.player.listenTo(1));
		const { time } = await eventually(async () => {
			const now = await state();
			return now.audioTrack === 1 && now.audio[1] > 0 && now;
		}, 'the other language arrives');
		await eventually(async () => (await state()).time > time + 1, 'it plays on in the other language');
	},

	async latency({ page, state, requests }) {
		await eventually(async () => (await state()).parts > 4, 'parts are loaded');
		// The origin's PART-HOLD-BACK is three parts; without parts the latency would be three whole segments. hls.js
		// stays as far behind as a busy browser started late, so the test first seeks to the live edge, as viewers do.
		const latency = await eventually(async () => {
			const from = await page.evaluate(() => window.player.goLive());
			await eventually(async () => (await state()).time > from + 4, 'it plays on from the live edge');
			const { latency } = await state();
			return latency > 0 && latency < PART_SECONDS * 8 && latency;
		}, 'the latency stays small');
		const blocking = requests().filter((url) => /[?&]_HLS_msn=\d+&_HLS_part=\d/.test(url));
		assert.ok(blocking.length > 2, `${blocking.length} blocking reloads`);
		return `${latency.toFixed(1)} s behind`;
	},
};

test('conformance', async (t) => {
	const { folder, host, urls, requests: nginxRequests } = await startConformanceInputs(t);
	const renditions = await encodeFragments(folder, PART_SECONDS, 240);
	const origin = await lowLatencyOrigin(t, {
		renditions,
		folder: SECRET_NAME,
		namePrefix: SECRET_NAME,
		token: SECRET_TOKEN,
	});
	urls.lowLatency = origin.url;
	const hosts = [host, origin.host];
	const secrets = [...hosts, SECRET_NAME, SECRET_TOKEN, REFERER].flatMap(encodings);
	const { origin: edge, scanned } = await startLeakProxy(
		t,
		await startEdgeFor(t, { folder, urls, hosts }),
		secrets,
	);
	const currentFfmpeg = await installCurrentFfmpeg();
	const site = await startForeignSite(t);
	const { page, traffic } = await openPage(t);

	const base64url = (text) => Buffer.from(text).toString('base64url');
	const entryUrl = ({ input, stream }) =>
		stream ? `${edge}/live/${stream}/index.m3u8` : `${edge}/proxy?url=${base64url(urls[input])}`;
	await waitUntilHealthy(
		edge,
		ROWS.flatMap(({ stream }) => stream ?? []),
	);

	await t.test('the leak scanner finds the secrets in a response of the origin itself', async (t) => {
		const port = Number(new URL(urls.redirected).port);
		const { origin, scanned } = await startLeakProxy(t, port, secrets);
		const { pathname, search } = new URL(urls.ts);
		await (
			await fetch(`${origin}${pathname}${search}`, { headers: { 'accept-encoding': 'identity' } })
		).text();
		assert.ok(
			scanned.leaks.some((leak) => leak.startsWith(SECRET_NAME)) &&
				scanned.leaks.some((leak) => leak.startsWith(SECRET_TOKEN)),
		);
	});

	await t.test("today's ffmpeg refuses segments by their file extension", async () => {
		await assert.rejects(decodeSeconds(currentFfmpeg, urls.ts, 4), /allowed_segment_extensions/);
	});

	const requestsBefore = nginxRequests().length;

	for (const row of ROWS) {
		const url = entryUrl(row);
		const requestsBeforeRow = traffic.requests.length;
		const requests = () =>
			traffic.requests.slice(requestsBeforeRow).filter((url) => new URL(url).origin === edge);
		const state = () => page.evaluate(() => window.player.state());

		await t.test(`hls.js: ${row.name}`, async (t) => {
			await page.goto(site);
			await page.evaluate((url) => window.player.play(url), url);
			await eventually(
				async () => {
					const { time, paused, width } = await state();
					return time > 0 && !paused && width > 0;
				},
				'it plays',
				20,
			);
			const { time } = await state();
			await eventually(async () => (await state()).time > time + 2, 'it plays on', 15);
			for (const [name, check] of Object.entries(CHECKS)) {
				if (!row[name]) continue;
				const result = await check({ page, state, requests });
				if (result) t.diagnostic(result);
			}
			const { errors } = await state();
			assert.deepEqual(
				errors.filter(({ fatal }) => fatal),
				[],
			);
			if (errors.length > 0) t.diagnostic(`not fatal: ${errors.map(({ details }) => details).join(', ')}`);
			assert.ok(requests().length > 3);
		});
		// The page is left, so that hls.js does not go on playing while the other players are tested.
		await page.goto('about:blank');

		await t.test(`ffmpeg and mpv: ${row.name}`, { concurrency: true }, async (t) => {
			const audio = row.tracks ? 2 : 1;
			// A live playlist has three segments at once: a longer decode makes the player reload the playlist.
			const seconds = row.stream || row.latency ? 9 : 4;
			await Promise.all([
				t.test('ffprobe', async () => {
					const codecs = await probeCodecs(url);
					assert.ok(codecs.includes('h264'));
					assert.ok(codecs.filter((codec) => codec === 'aac').length >= audio, `${codecs}`);
				}),
				t.test("Debian's ffmpeg", async () =>
					assert.ok((await decodeSeconds('ffmpeg', url, seconds)) > seconds - 0.1),
				),
				t.test("today's ffmpeg", async () =>
					assert.ok((await decodeSeconds(currentFfmpeg, url, seconds)) > seconds - 0.1),
				),
				t.test('mpv', async () => {
					const { times, output } = await playWithMpv(url, 4);
					assert.ok(Math.max(...times) - times[0] > 3, output);
					assert.ok((output.match(/Audio +--aid/g) ?? []).length >= audio, output);
				}),
			]);
		});

		if (row.latency) {
			await t.test(`low-latency delivery directives: ${row.name}`, () => lowLatencyRules(new URL(url)));
		}
	}

	await t.test('a page of another site may read responses and errors of the edge (CORS)', async () => {
		await page.goto(site);
		const media = `${edge}${await firstLink(entryUrl({ input: 'ts' }))}`;
		const missing = `${edge}/relay?url=${base64url(`http://${host}/${SECRET_NAME}-missing`)}`;
		const fetchInPage = (url, options) =>
			page.evaluate(
				async ([url, options]) => {
					const answer = await fetch(url, options);
					const { length } = new Uint8Array(await answer.clone().arrayBuffer());
					const text = answer.headers.get('content-type').includes('json') ? await answer.text() : '';
					return { status: answer.status, headers: Object.fromEntries(answer.headers), length, text };
				},
				[url, options],
			);
		const whole = await fetchInPage(media, {});
		assert.equal(whole.status, 200);
		assert.equal(Number(whole.headers['content-length']), whole.length);

		// A suffix range and a CMCD field are not CORS-safelisted: the browser must send a preflight first.
		const last = await fetchInPage(media, { headers: { range: 'bytes=-100', 'cmcd-request': 'bl=2000' } });
		assert.equal(last.status, 206);
		assert.equal(last.length, 100);
		assert.equal(
			last.headers['content-range'],
			`bytes ${whole.length - 100}-${whole.length - 1}/${whole.length}`,
		);
		const { pathname, search } = new URL(media);
		assert.ok(scanned.preflights.includes(pathname + search), 'Chromium asked before');

		const head = await fetchInPage(media, { method: 'HEAD' });
		assert.equal(head.status, 200);
		assert.equal(Number(head.headers['content-length']), whole.length);

		for (const [url, type] of [
			[missing, 'upstream-status'],
			[`${edge}/live/nothing/index.m3u8`, 'not-found'],
		]) {
			const errorResponse = await fetchInPage(url, {});
			assert.equal(errorResponse.status, 404);
			assert.match(errorResponse.headers['content-type'], /^application\/problem\+json/);
			const problem = JSON.parse(errorResponse.text);
			assert.equal(problem.type, `urn:pitwall:problem:${type}`);
			assert.equal(problem.status, 404);
		}
	});

	await t.test("no browser bypasses the edge, and no origin learns a player's user agent", () => {
		assert.deepEqual(strayRequests(traffic, edge, site), []);
		const clients = [...nginxRequests().slice(requestsBefore), ...origin.requests].filter(({ agent }) =>
			/Mozilla|Lavf|mpv/.test(agent),
		);
		assert.deepEqual(clients, []);
	});

	await t.test('the origins used redirects, gzip, Referer checks and ranges', () => {
		const answers = nginxRequests();
		assert.ok(answers.some(({ status }) => status === 302));
		assert.ok(answers.some(({ uri, encoding }) => uri.endsWith('.m3u8') && encoding === 'gzip'));
		assert.ok(
			answers.some(
				({ uri, status, referer }) => /live-ts.*png/.test(uri) && status === 200 && referer === REFERER,
			),
		);
		assert.ok(answers.some(({ uri, status }) => /one-mp4/.test(uri) && status === 206));
	});

	await t.test('0 leaks', (t) => {
		t.diagnostic(`${scanned.playlists} playlists, ${(scanned.bytes / 1e6).toFixed(1)} MB looked at`);
		assert.deepEqual(scanned.leaks, []);
		assert.ok(scanned.playlists > 100, `${scanned.playlists} playlists`);
		assert.equal(scanned.compressed, 0, 'all of it could be read');
	});
});

async function startEdgeFor(t, { folder, urls, hosts }) {
	const stream = (name, url, more) => sourceSection(name, name, url, more);
	const referer = `headers = { Referer = "${REFERER}" }`;
	const { port } = await startEdge(
		t,
		`[upstream]
allow_hosts = ${JSON.stringify(hosts)}
allow_private = ["127.0.0.0/8"]
${stream('low-latency', urls.lowLatency)}
${stream('live-ts', urls['live-ts'], referer)}
${stream('live-tracks', urls['live-tracks'], referer)}`,
		folder,
	);
	return port;
}

const fetchLines = async (url) => {
	const answer = await fetch(url);
	const text = await answer.text();
	assert.equal(answer.status, 200, text);
	return text.split('\n');
};
const firstLink = async (url) => (await fetchLines(url)).find((line) => line && !line.startsWith('#'));
const uriAttributes = (all, tag) =>
	all.filter((line) => line.startsWith(tag)).map((line) => line.match(/URI="([^"]+)"/)[1]);

/**
 * Checks RFC 8216bis, section 6.2.5: the hinted part is served under the hinted URI, and a rendition report has the
 * URI of the other rendition.
 */
async function lowLatencyRules(entryUrl) {
	const variants = (await fetchLines(entryUrl)).filter((line) => line && !line.startsWith('#'));
	assert.equal(variants.length, 2);
	const links = variants.map((variant) => new URL(variant, entryUrl));
	const media = links[0];
	const now = await fetchLines(media);
	const [hint] = uriAttributes(now, '#EXT-X-PRELOAD-HINT');
	const [report] = uriAttributes(now, '#EXT-X-RENDITION-REPORT');
	assert.equal(new URL(report, media).href, links[1].href);

	// The next part is requested before it exists, and so is the playlist that will list the part.
	const sequence = Number(now.find((line) => line.startsWith('#EXT-X-MEDIA-SEQUENCE')).split(':')[1]);
	const msn = sequence + now.filter((line) => line.startsWith('#EXTINF')).length;
	const lastSegment = now.findLastIndex((line) => line.startsWith('#EXTINF'));
	const part = now.slice(lastSegment).filter((line) => line.startsWith('#EXT-X-PART:')).length;
	const blocking = new URL(media);
	for (const [name, value] of [
		['_HLS_msn', msn],
		['_HLS_part', part],
	]) {
		blocking.searchParams.set(name, String(value));
	}
	const [next, hinted] = await Promise.all([fetchLines(blocking), fetch(new URL(hint, media))]);
	assert.equal(hinted.status, 200);
	assert.equal(Buffer.from(await hinted.arrayBuffer()).toString('latin1', 4, 8), 'moof');
	assert.ok(uriAttributes(next, '#EXT-X-PART:').includes(hint), 'the part has the link that the hint had');
	assert.notEqual(uriAttributes(next, '#EXT-X-PRELOAD-HINT')[0], hint);

	// A delta update has the same URIs as the full playlist for the segments that the delta lists.
	blocking.searchParams.set('_HLS_skip', 'YES');
	const delta = await fetchLines(blocking);
	assert.ok(
		delta.some((line) => /^#EXT-X-SKIP:SKIPPED-SEGMENTS=\d+$/.test(line)),
		'the edge passes _HLS_skip on',
	);
	const segments = (all) => all.filter((line) => line && !line.startsWith('#'));
	const listedSegments = segments(delta);
	assert.ok(listedSegments.length > 0 && listedSegments.length < segments(next).length);
	assert.ok(
		listedSegments.slice(0, -1).every((line) => segments(next).includes(line)),
		'the same links',
	);

	blocking.searchParams.set('_HLS_msn', String(msn + 1000));
	assert.equal((await fetch(blocking)).status, 400, 'what is too far away is refused as the origin does');
}
