// Players that are not ours, on sites that are not ours, against origins that are not ours: what plays there
// plays through the edge, and nothing that the edge says tells where it comes from.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, strays } from './support/browser.mjs';
import { currentFfmpeg, decode, mpv, probe } from './support/clients.mjs';
import { plays, source, edge as startEdge } from './support/edge.mjs';
import { fragmented, inputs, REFERER, STEM, TOKEN } from './support/inputs.mjs';
import { lowLatencyOrigin, PART } from './support/llhls.mjs';
import { foreignPage } from './support/player.mjs';
import { eventually } from './support/process.mjs';
import { spellings, tap } from './support/tap.mjs';

/** `input` is asked for by its URL, `stream` by the name that the configuration gives it. */
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

/** What is looked at in hls.js beyond playing. */
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
			ranges.filter(({ wanted, came }) => wanted !== came),
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
		// Three parts behind is what the origin asks for; without parts it would be three whole segments. How late a
		// busy browser starts is how far behind hls.js stays: to the live edge first, as a viewer would go.
		const latency = await eventually(async () => {
			const from = await page.evaluate(() => window.player.goLive());
			await eventually(async () => (await state()).time > from + 4, 'it plays on from the live edge');
			const { latency } = await state();
			return latency > 0 && latency < PART * 8 && latency;
		}, 'the latency stays small');
		const blocking = requests().filter((url) => /[?&]_HLS_msn=\d+&_HLS_part=\d/.test(url));
		assert.ok(blocking.length > 2, `${blocking.length} blocking reloads`);
		return `${latency.toFixed(1)} s behind`;
	},
};

test('conformance', async (t) => {
	const { folder, host, urls, requests: atNginx } = await inputs(t);
	const renditions = await fragmented(folder, PART, 240);
	const origin = await lowLatencyOrigin(t, { renditions, folder: STEM, stem: STEM, token: TOKEN });
	urls.lowLatency = origin.url;
	const hosts = [host, origin.host];
	const secrets = [...hosts, STEM, TOKEN, REFERER].flatMap(spellings);
	const { origin: edge, seen: said } = await tap(t, await edgeFor(t, { folder, urls, hosts }), secrets);
	const current = await currentFfmpeg();
	const site = await foreignPage(t);
	const { page, seen } = await open(t);

	const base64url = (text) => Buffer.from(text).toString('base64url');
	const entry = ({ input, stream }) =>
		stream ? `${edge}/live/${stream}/index.m3u8` : `${edge}/proxy?url=${base64url(urls[input])}`;
	await plays(
		edge,
		ROWS.flatMap(({ stream }) => stream ?? []),
	);

	await t.test('the leaks that are looked for are there to be found', async (t) => {
		const port = Number(new URL(urls.redirected).port);
		const { origin, seen } = await tap(t, port, secrets);
		const { pathname, search } = new URL(urls.ts);
		await (
			await fetch(`${origin}${pathname}${search}`, { headers: { 'accept-encoding': 'identity' } })
		).text();
		assert.ok(
			seen.leaks.some((leak) => leak.startsWith(STEM)) && seen.leaks.some((leak) => leak.startsWith(TOKEN)),
		);
	});

	await t.test("today's ffmpeg minds names", async () => {
		await assert.rejects(decode(current, urls.ts, 4), /allowed_segment_extensions/);
	});

	const before = atNginx().length;

	for (const row of ROWS) {
		const url = entry(row);
		const opened = seen.requests.length;
		const requests = () => seen.requests.slice(opened).filter((url) => new URL(url).origin === edge);
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
		// What plays there need not go on while others are looked at.
		await page.goto('about:blank');

		await t.test(`ffmpeg and mpv: ${row.name}`, { concurrency: true }, async (t) => {
			const audio = row.tracks ? 2 : 1;
			// Three segments of what is live are there at once; for the rest it has to be polled.
			const seconds = row.stream || row.latency ? 9 : 4;
			await Promise.all([
				t.test('ffprobe', async () => {
					const codecs = await probe(url);
					assert.ok(codecs.includes('h264'));
					assert.ok(codecs.filter((codec) => codec === 'aac').length >= audio, `${codecs}`);
				}),
				t.test("Debian's ffmpeg", async () =>
					assert.ok((await decode('ffmpeg', url, seconds)) > seconds - 0.1),
				),
				t.test("today's ffmpeg", async () =>
					assert.ok((await decode(current, url, seconds)) > seconds - 0.1),
				),
				t.test('mpv', async () => {
					const { times, said } = await mpv(url, 4);
					assert.ok(Math.max(...times) - times[0] > 3, said);
					assert.ok((said.match(/Audio +--aid/g) ?? []).length >= audio, said);
				}),
			]);
		});

		if (row.latency) {
			await t.test(`what players of low latency rely on: ${row.name}`, () => lowLatencyRules(new URL(url)));
		}
	}

	await t.test('a page of another site reads what the edge says', async () => {
		await page.goto(site);
		const media = `${edge}${await firstLink(entry({ input: 'ts' }))}`;
		const missing = `${edge}/relay?url=${base64url(`http://${host}/${STEM}-missing`)}`;
		const ask = (url, options) =>
			page.evaluate(
				async ([url, options]) => {
					const answer = await fetch(url, options);
					const { length } = new Uint8Array(await answer.clone().arrayBuffer());
					const text = answer.headers.get('content-type').includes('json') ? await answer.text() : '';
					return { status: answer.status, headers: Object.fromEntries(answer.headers), length, text };
				},
				[url, options],
			);
		const whole = await ask(media, {});
		assert.equal(whole.status, 200);
		assert.equal(Number(whole.headers['content-length']), whole.length);

		// The last bytes, and CMCD, are what no page of another site may ask for unasked.
		const last = await ask(media, { headers: { range: 'bytes=-100', 'cmcd-request': 'bl=2000' } });
		assert.equal(last.status, 206);
		assert.equal(last.length, 100);
		assert.equal(
			last.headers['content-range'],
			`bytes ${whole.length - 100}-${whole.length - 1}/${whole.length}`,
		);
		const { pathname, search } = new URL(media);
		assert.ok(said.preflights.includes(pathname + search), 'Chromium asked before');

		const head = await ask(media, { method: 'HEAD' });
		assert.equal(head.status, 200);
		assert.equal(Number(head.headers['content-length']), whole.length);

		for (const [url, type] of [
			[missing, 'upstream-status'],
			[`${edge}/live/nothing/index.m3u8`, 'not-found'],
		]) {
			const nothing = await ask(url, {});
			assert.equal(nothing.status, 404);
			assert.match(nothing.headers['content-type'], /^application\/problem\+json/);
			const problem = JSON.parse(nothing.text);
			assert.equal(problem.type, `urn:pitwall:problem:${type}`);
			assert.equal(problem.status, 404);
		}
	});

	await t.test('no browser goes past the edge, and no origin is told who watches', () => {
		assert.deepEqual(strays(seen, edge, site), []);
		const clients = [...atNginx().slice(before), ...origin.requests].filter(({ agent }) =>
			/Mozilla|Lavf|mpv/.test(agent),
		);
		assert.deepEqual(clients, []);
	});

	await t.test('the origins did what they are here for', () => {
		const answers = atNginx();
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
		t.diagnostic(`${said.playlists} playlists, ${(said.bytes / 1e6).toFixed(1)} MB looked at`);
		assert.deepEqual(said.leaks, []);
		assert.ok(said.playlists > 100, `${said.playlists} playlists`);
		assert.equal(said.encoded, 0, 'all of it could be read');
	});
});

async function edgeFor(t, { folder, urls, hosts }) {
	const stream = (name, url, more) => source(name, name, url, more);
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

const lines = async (url) => {
	const answer = await fetch(url);
	const text = await answer.text();
	assert.equal(answer.status, 200, text);
	return text.split('\n');
};
const firstLink = async (url) => (await lines(url)).find((line) => line && !line.startsWith('#'));
const uris = (all, tag) =>
	all.filter((line) => line.startsWith(tag)).map((line) => line.match(/URI="([^"]+)"/)[1]);

/** RFC 8216bis, 6.2.5: what is hinted at comes under that name, and a report names the other rendition's link. */
async function lowLatencyRules(entry) {
	const variants = (await lines(entry)).filter((line) => line && !line.startsWith('#'));
	assert.equal(variants.length, 2);
	const links = variants.map((variant) => new URL(variant, entry));
	const media = links[0];
	const now = await lines(media);
	const [hint] = uris(now, '#EXT-X-PRELOAD-HINT');
	const [report] = uris(now, '#EXT-X-RENDITION-REPORT');
	assert.equal(new URL(report, media).href, links[1].href);

	// The part that comes next is asked for before it is there, and so is the playlist that will name it.
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
	const [next, hinted] = await Promise.all([lines(blocking), fetch(new URL(hint, media))]);
	assert.equal(hinted.status, 200);
	assert.equal(Buffer.from(await hinted.arrayBuffer()).toString('latin1', 4, 8), 'moof');
	assert.ok(uris(next, '#EXT-X-PART:').includes(hint), 'the part has the link that the hint had');
	assert.notEqual(uris(next, '#EXT-X-PRELOAD-HINT')[0], hint);

	// A delta names what it keeps as the whole does.
	blocking.searchParams.set('_HLS_skip', 'YES');
	const delta = await lines(blocking);
	assert.ok(
		delta.some((line) => /^#EXT-X-SKIP:SKIPPED-SEGMENTS=\d+$/.test(line)),
		'the edge passes _HLS_skip on',
	);
	const segments = (all) => all.filter((line) => line && !line.startsWith('#'));
	const kept = segments(delta);
	assert.ok(kept.length > 0 && kept.length < segments(next).length);
	assert.ok(
		kept.slice(0, -1).every((line) => segments(next).includes(line)),
		'the same links',
	);

	blocking.searchParams.set('_HLS_msn', String(msn + 1000));
	assert.equal((await fetch(blocking)).status, 400, 'what is too far away is refused as the origin does');
}
