// The language: the browser's from the first paint, the viewer's choice from then on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage } from './support/browser.mjs';
import { startMockEdge } from './support/mock-edge.mjs';
import { eventually } from './support/process.mjs';

test('a German browser gets German from the first paint, and keeps what the viewer chooses', async (t) => {
	const edge = await startMockEdge(t);
	const { page, traffic } = await openPage(t, { locale: 'de-AT' });
	await page.addInitScript(() => {
		new PerformanceObserver((list) => {
			if (list.getEntriesByName('first-contentful-paint').length === 0) return;
			window.firstPaint ??= { lang: document.documentElement.lang, text: document.body.innerText };
		}).observe({ type: 'paint', buffered: true });
	});
	await page.goto(`${edge.origin}/schedule`);
	await page.getByTestId('headline').waitFor();
	const { lang, text } = await page.evaluate(() => window.firstPaint);
	assert.equal(lang, 'de');
	assert.match(text, /Zeitplan/);
	assert.doesNotMatch(text, /Schedule|Loading/);
	assert.match(await page.locator('time').first().innerText(), /Heute/);

	await page.getByRole('heading', { name: 'Rennen', level: 2 }).waitFor();

	await page.getByTestId('language-picker').selectOption('en');
	await page.getByRole('heading', { name: /^Schedule/ }).waitFor();
	await page.goto(`${edge.origin}/status`);
	await page.getByText('Streams and their sources, best first').waitFor();
	const scores = page.getByTestId('stream-status').first();
	await eventually(async () => (await scores.innerText()).includes('0.97'), 'numbers are English');
	assert.equal(await page.evaluate(() => document.documentElement.lang), 'en');
	assert.deepEqual(traffic.consoleErrors, []);
});
