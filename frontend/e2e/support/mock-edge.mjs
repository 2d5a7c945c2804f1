// Starts dev/mock.mjs, which serves the page with documents that a test chooses and with live streams.
import path from 'node:path';
import { eventually, freePort, ROOT, startProcess } from './process.mjs';

export async function startMockEdge(t, scenario = 'live', ...more) {
	const port = await freePort();
	const server = startProcess('node', [
		path.join(ROOT, 'frontend/dev/mock.mjs'),
		...['--port', String(port), '--scenario', scenario, ...more],
		// PAGE_BUILD selects another build of the page, to compare with.
		...(process.env.PAGE_BUILD ? ['--build', process.env.PAGE_BUILD] : []),
	]);
	t.after(() => server.stop());
	const origin = `http://127.0.0.1:${port}`;
	const has = async (id) => (await fetch(`${origin}/live/${id}/index.m3u8`)).ok;
	await eventually(async () => (await has('world-feed')) && (await has('onboard-44')), 'the picture is on');
	return {
		origin,
		stop: (signal) => server.stop(signal),
		scenario: (name) => fetch(`${origin}/mock/scenario?name=${name}`),
		switchSource: (id) => fetch(`${origin}/mock/switch?id=${id}`),
		event: (kind, data) =>
			fetch(`${origin}/mock/event?${new URLSearchParams({ kind, data: JSON.stringify(data) })}`),
		stream: (id, up) => fetch(`${origin}/mock/stream?id=${id}&up=${up}`),
	};
}

export const RACE = '2026:canyon-grand-prix:canyon:race';
