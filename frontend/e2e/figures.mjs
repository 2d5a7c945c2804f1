// What the page must reach, measured on `pitwall demo` and printed; it is no test of CI, because other work on the
// machine decides over it.
//
//   PITWALL_BIN=../target/debug/pitwall node --test e2e/figures.mjs
//   … --test-name-pattern=memory, with MINUTES=30
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { openPage, videoStates } from './support/browser.mjs';
import { readClocks } from './support/demo-clock.mjs';
import { startDemoOrigin, startEdge, tempFolder, waitUntilHealthy } from './support/edge.mjs';
import { startPlayerSite } from './support/player-site.mjs';
import { ROOT, eventually, freePort, startPitwall, startProcess } from './support/process.mjs';

const TOKEN = 'token-of-the-operator-of-this-measurement';
const FEEDS = ['world-feed', 'onboard-7', 'onboard-22', 'pit-lane'];
const WALL = `watch?l=2x2&s=${FEEDS}`;
const RUNS = 20;

async function startDemo(t) {
	const port = await freePort();
	const demo = startPitwall(['demo', '--listen', `127.0.0.1:${port}`]);
	t.after(() => demo.stop());
	await demo.untilOutput(/A session is live: /);
	const origin = `http://127.0.0.1:${port}`;
	await waitUntilHealthy(origin, FEEDS);
	return { origin };
}

/** The sources of the demo, with a token to switch with. */
async function startSwitchableDemo(t) {
	const [origin, folder] = [await startDemoOrigin(t), tempFolder(t)];
	writeFileSync(path.join(folder, 'token'), TOKEN, { mode: 0o600 });
	const demo = readFileSync(path.join(ROOT, 'conf/demo.toml'), 'utf8')
		.replaceAll('http://127.0.0.1:9000', origin)
		.replace('[schedule]\n', '');
	const edge = await startEdge(
		t,
		demo.replace(/(?=\[\[source\]\])/, `[access]\nadmin_token_file = "${folder}/token"\n`),
		folder,
	);
	await waitUntilHealthy(edge.origin, FEEDS);
	return edge;
}

/** The share `part` of the values is not larger. */
function quantile(values, part) {
	const sorted = values.toSorted((a, b) => a - b);
	return Math.round(sorted[Math.ceil(part * sorted.length) - 1]);
}
const summary = (values) => `median ${quantile(values, 0.5)}, p95 ${quantile(values, 0.95)} ms`;

/** Notes when the first, and when every video has begun to play, stalls and long tasks. */
const observe = (page) =>
	page.addInitScript(() => {
		window.observed = { playing: [], waits: [], longTasks: [], shift: [] };
		const { observed } = window;
		const playing = new Set();
		const listen = (type, listener) => document.addEventListener(type, listener, { capture: true });
		listen('playing', ({ target }) => {
			if (!playing.has(target)) observed.playing.push(performance.now());
			playing.add(target);
		});
		listen('waiting', ({ target }) => {
			if (playing.has(target)) observed.waits.push([target.dataset.stream, performance.now()]);
		});
		new PerformanceObserver((list) =>
			observed.longTasks.push(...list.getEntries().map((task) => [task.startTime, task.duration])),
		).observe({ type: 'longtask', buffered: true });
		new PerformanceObserver((list) => {
			for (const { value, startTime, sources } of list.getEntries())
				observed.shift.push({
					value,
					startTime,
					moved: sources.map(({ node }) => node?.outerHTML?.slice(0, 120)),
				});
		}).observe({ type: 'layout-shift', buffered: true });
	});

const allPlay = (page, count) =>
	eventually(async () => {
		const all = await videoStates(page);
		return all.length === count && all.every(({ time, paused }) => time > 0.5 && !paused);
	}, `${count} tiles play`);

/** Every tile is shown with 720 lines, whatever its size. */
const choose720 = (page) =>
	page.addInitScript((feeds) => {
		const choice = { height: 720, bitrate: 2_000_000 };
		const all = Object.fromEntries(feeds.map((feed) => [feed, choice]));
		localStorage.setItem('pitwall:qualities', JSON.stringify(all));
	}, FEEDS);

test('four tiles at 720p', async (t) => {
	const edge = await startSwitchableDemo(t);
	const { page, traffic } = await openPage(t);
	await observe(page);
	await choose720(page);
	await page.goto(`${edge.origin}/${WALL}`);
	await allPlay(page, 4);
	await page.waitForFunction(() => performance.now() > 29_000, null, { polling: 500 });
	const early = await page.evaluate(() => window.observed.longTasks);
	// Reading is work of its own: it begins when the long tasks have been counted.
	const clocks = await readClocks(page);
	await page.waitForTimeout(1_000);
	const samples = [];
	const until = (at) => async () => {
		while ((await page.evaluate(() => performance.now())) < at) {
			samples.push((await clocks()).spread);
			await page.waitForTimeout(200);
		}
	};
	await until(61_000)();
	const { playing, waits, shift } = await page.evaluate(() => window.observed);
	const durations = early.filter(([at]) => at < 10_000).map(([, duration]) => duration);
	const heights = (await videoStates(page)).map(({ height }) => height);
	t.diagnostic(`heights ${heights}; all four playing after ${Math.round(playing.at(-1))} ms`);
	t.diagnostic(`stalls in 60 s: ${waits.length} ${JSON.stringify(waits)}`);
	t.diagnostic(
		`long tasks in the first 10 s: ${durations.length}, longest ${Math.max(0, ...durations)} ms; from 10 to 29 s ${early.length - durations.length}`,
	);
	const dropped = await page.evaluate(() =>
		[...document.querySelectorAll('video')].map((video) => {
			const { droppedVideoFrames, totalVideoFrames } = video.getVideoPlaybackQuality();
			return `${droppedVideoFrames}/${totalVideoFrames}`;
		}),
	);
	t.diagnostic(
		`dropped frames ${dropped.join(', ')}; layout shift ${shift.reduce((sum, { value }) => sum + value, 0)} ${JSON.stringify(shift)}`,
	);
	const read = samples.filter(Number.isFinite);
	t.diagnostic(
		`burnt-in clocks from 30 to 60 s, ${read.length} of ${samples.length} samples: ${summary(read)}, largest ${Math.round(Math.max(...read))} ms`,
	);

	const stream = async () => (await fetch(`${edge.origin}/api/streams/world-feed`)).json();
	const activeSource = async () => (await stream()).sources.find(({ active }) => active)?.name;
	const to = (await activeSource()) === 'demo-open' ? 'demo-club' : 'demo-open';
	const switched = await fetch(`${edge.origin}/api/streams/world-feed/switch`, {
		method: 'POST',
		headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
		body: JSON.stringify({ source: to }),
	});
	assert.equal(switched.status, 200, await switched.text());
	const begin = Date.now();
	const after = [];
	const active = new Set();
	while (Date.now() - begin < 25_000) {
		after.push([Date.now() - begin, (await clocks()).spread]);
		active.add(await activeSource());
		await page.waitForTimeout(200);
	}
	const worst = (from, to) =>
		after
			.filter(([at, spread]) => at >= from && at < to && spread < Infinity)
			.reduce((most, [, spread]) => Math.max(most, Math.round(spread)), 0);
	t.diagnostic(
		`switch to ${to} (${after.filter(([, spread]) => spread < Infinity).length} of ${after.length} samples; active ${[...active]}): largest ${worst(0, 10_000)} ms in the first 10 s, ${worst(10_000, 25_000)} ms in the 15 s after`,
	);
	const stalls = await page.evaluate(() => window.observed.waits.length);
	t.diagnostic(
		`stalls since the switch: ${stalls - waits.length}; console errors ${traffic.consoleErrors.length}`,
	);
});

test('from navigation to playing, beside a minimal page of hls.js', async (t) => {
	const [edge, site] = [await startDemo(t), await startPlayerSite(t)];
	const master = `${edge.origin}/live/world-feed/index.m3u8`;
	assert.equal((await fetch(master)).status, 200);
	const minimal = `${site.url}/?${new URLSearchParams({ name: 'hls.js', url: master })}`;
	const pages = { 'one tile': `${edge.origin}/`, 'four tiles': `${edge.origin}/${WALL}`, minimal };
	const times = { 'one tile': [], 'four tiles': [], minimal: [] };
	const { page: first } = await openPage(t);
	for (let run = 0; run < RUNS; run += 1) {
		for (const [name, address] of Object.entries(pages)) {
			// A new context has an empty cache.
			const context = await first
				.context()
				.browser()
				.newContext({ viewport: { width: 1440, height: 900 } });
			const page = await context.newPage();
			await observe(page);
			await page.goto(address);
			const count = name === 'four tiles' ? 4 : 1;
			await page.waitForFunction((count) => window.observed.playing.length >= count, count, {
				timeout: 30_000,
			});
			times[name].push(await page.evaluate((at) => window.observed.playing[at], count - 1));
			await context.close();
		}
	}
	for (const [name, all] of Object.entries(times))
		t.diagnostic(
			`${name}: ${summary(all)} (${all
				.map(Math.round)
				.toSorted((a, b) => a - b)
				.join(' ')})`,
		);
});

test('sizes', (t) => {
	const build = path.join(ROOT, 'frontend/build');
	const files = readdirSync(build, { recursive: true, encoding: 'utf8' });
	const size = (pattern) => {
		const bodies = files
			.filter((file) => pattern.test(file))
			.map((file) => readFileSync(path.join(build, file)));
		const total = (compress) =>
			Math.round(bodies.reduce((sum, body) => sum + compress(body).length, 0) / 100) / 10;
		return `${bodies.length} files, ${total(brotliCompressSync)} kB brotli, ${total((body) => gzipSync(body, { level: 9 }))} kB gzip, ${total((body) => body)} kB plain`;
	};
	t.diagnostic(`JS: ${size(/\.js$/)}`);
	t.diagnostic(`page, JS + CSS + HTML + icons: ${size(/\.(js|css|html|svg|webmanifest)$/)}`);
});

test('memory of four tiles', { skip: !process.env.MINUTES }, async (t) => {
	const edge = await startDemo(t);
	// DevTools keep the body of every response in memory, so there are none.
	const browser = startProcess('/usr/bin/chromium', [
		...['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
		...['--autoplay-policy=no-user-gesture-required', '--window-size=1440,900'],
		...[`--user-data-dir=${path.join(tempFolder(t), 'profile')}`, `${edge.origin}/${WALL}`],
	]);
	t.after(() => browser.stop());
	const begin = Date.now();
	while (Date.now() - begin < Number(process.env.MINUTES) * 60_000) {
		await new Promise((resolve) => setTimeout(resolve, 30_000));
		t.diagnostic(`${Math.round((Date.now() - begin) / 1000)} s: ${browserMemory()} MB`);
	}
});

/** The proportional set size of the browser that this process has started, with its children. */
function browserMemory() {
	const parents = new Map();
	for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
		try {
			const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
			parents.set(Number(pid), Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1]));
		} catch {
			// It has ended meanwhile.
		}
	}
	const isOurs = (pid) => pid === process.pid || (parents.has(pid) && isOurs(parents.get(pid)));
	let total = 0;
	for (const pid of parents.keys()) {
		if (!isOurs(pid)) continue;
		try {
			if (!/chrom/.test(readFileSync(`/proc/${pid}/comm`, 'utf8'))) continue;
			total += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);
		} catch {
			// It has ended meanwhile.
		}
	}
	return Math.round(total / 1024);
}
