// The control page against an edge with its control plane: each thing that an operator does there once, by keyboard or
// pointer, with the files that it changes on disk.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { axeViolations } from './support/axe.mjs';
import { openPage, strayRequests } from './support/browser.mjs';
import { sourceSection, startDemoOrigin, startEdge, tempFolder, waitUntilHealthy } from './support/edge.mjs';
import { eventually, listen } from './support/process.mjs';

const TOKEN = 'a-token-of-the-operator-0123456789';
const SECRET = 'Basic b3BlcmF0b3I6aHVudGVyMg==';
const PHONE = { width: 390, height: 844 };

/** An edge with a source in its configuration, one in a file, an override file and a webhook. */
async function startControlledEdge(t) {
	const [from, folder] = [await startDemoOrigin(t), tempFolder(t)];
	const alerts = [];
	const webhook = createServer((request, response) => {
		alerts.push(request.headers['x-pitwall-event']);
		response.writeHead(204).end();
	});
	const port = await listen(t, webhook);
	const file = (name) => path.join(folder, name);
	mkdirSync(file('sources'));
	writeFileSync(file('token'), TOKEN);
	writeFileSync(file('overrides.toml'), '# nothing yet\n');
	const url = `${from}/open/world-feed/master.m3u8`;
	writeFileSync(
		file('sources/club.toml'),
		`# by mail
name = "club"
kind = "static"
feed = "World feed" # the main one
url = "${url}"
allow_private = ["127.0.0.0/8"]
headers = { Authorization = "${SECRET}" }
`,
	);
	const sections = `override_file = "${file('overrides.toml')}"
[access]
admin_token_file = "${file('token')}"
[[webhook]]
name = "ops"
url = "http://127.0.0.1:${port}/"
events = ["failover"]
allow_private = ["127.0.0.0/8"]
${sourceSection('camera', 'World feed', url)}`;
	const { origin } = await startEdge(t, sections, folder);
	await waitUntilHealthy(origin, ['world-feed']);
	const answer = async () => (await fetch(`${origin}/api/streams/world-feed`)).json();
	await eventually(
		async () => (await answer()).sources.filter(({ health }) => health === 'healthy').length === 2,
		'both sources play',
	);
	return { origin, url, alerts, file };
}

test('an operator sees what runs, changes it, and overwrites nobody', async (t) => {
	const { origin, url, alerts, file } = await startControlledEdge(t);
	const { page, traffic } = await openPage(t);
	const button = (name, within = page) => within.getByRole('button', { name, exact: true });
	const says = async (text, within = page) => {
		const said = within.getByTestId('said');
		await eventually(async () => (await said.allInnerTexts()).some((one) => text.test(one)), `${text}`, 10);
	};

	await page.goto(`${origin}/control`);
	await page.getByLabel('Admin token').fill('not-the-token');
	await page.keyboard.press('Enter');
	await eventually(
		async () => /not the admin token/.test(await page.getByRole('alert').innerText()),
		'refused',
	);
	assert.deepEqual(await axeViolations(page), []);
	await page.getByLabel('Admin token').fill(TOKEN);
	await page.keyboard.press('Enter');
	await page.getByTestId('control-desk').waitFor();
	await page.reload();
	const club = page.locator('[data-source=club]');
	await eventually(async () => {
		const shown = await club.innerText();
		return /Working.*static, runs (in|now).*club\.toml/s.test(shown) || Promise.reject(shown);
	}, 'the source works');

	await button('Last run club', club).click();
	assert.match(await club.getByTestId('trace').innerText(), /found 1.*World feed:\s*plays/s);
	await button('Run now club', club).click();
	await says(/It runs now|runs once more/, club);

	const stream = page.locator('[data-stream=world-feed]');
	await eventually(async () => /0 viewers, plays from c/.test(await stream.innerText()), 'who watches');
	await stream.getByLabel('Source for World feed').selectOption('club');
	await button('Pin World feed', stream).click();
	await says(/club plays and is pinned/, stream);
	await eventually(async () => /Pinned/.test(await stream.innerText()), 'the pin is shown');
	await button('Why? World feed', stream).click();
	assert.match(await stream.getByTestId('ranking').innerText(), /club:/);
	await button('Unpin World feed', stream).click();
	await eventually(async () => !/Pinned/.test(await stream.innerText()), 'the pin is off');

	const overrides = page.getByTestId('overrides');
	const good = '[[meeting]]\nid = "2026:bahrain-grand-prix:bahrain"\nhidden = true\n';
	await overrides.getByRole('textbox').fill(good.replace('true', '"yes"'));
	await button('Save', overrides).click();
	await says(/overrides\.toml:3: meeting\.hidden: /, overrides);
	await overrides.getByRole('textbox').fill(good);
	await button('Save', overrides).click();
	await says(/Saved: 1 entry/, overrides);
	assert.equal(readFileSync(file('overrides.toml'), 'utf8'), good);
	writeFileSync(file('overrides.toml'), '# by another operator\n');
	await overrides.getByRole('textbox').fill(`${good}# mine\n`);
	await button('Save', overrides).click();
	await says(/somebody else has changed/, overrides);
	assert.equal(readFileSync(file('overrides.toml'), 'utf8'), '# by another operator\n');

	await page.getByTestId('add-source').click();
	const editor = page.getByTestId('source-editor');
	await editor.getByLabel('Name', { exact: false }).first().fill('pit');
	await editor.getByLabel('Playlist (URL)').fill(url);
	await editor.getByLabel('Feed', { exact: false }).first().fill('Pit lane');
	await button('Try it', editor).click();
	await eventually(
		async () => /Does not play/.test(await editor.getByTestId('trial').innerText()),
		'it is tried',
	);
	await editor.getByLabel('Private ranges').fill('127.0.0.0/8');
	assert.ok(await button('Save', editor).isDisabled(), 'what is saved is what was tried');
	await button('Try it', editor).click();
	await eventually(
		async () => /1 of them play/.test(await editor.getByTestId('trial').innerText()),
		'it plays',
	);
	assert.deepEqual(await axeViolations(page), []);
	if (process.env.SHOTS) {
		await page.emulateMedia({ colorScheme: 'dark' });
		await page.screenshot({ path: path.join(process.env.SHOTS, 'control.png'), fullPage: true });
	}
	await button('Save', editor).click();
	await page.locator('[data-source=pit]').waitFor();
	const pit = `name = "pit"\nkind = "static"\nallow_private = ["127.0.0.0/8"]\nfeed = "Pit lane"\nurl = "${url}"\n`;
	assert.equal(readFileSync(file('sources/pit.toml'), 'utf8'), pit);

	await page.setViewportSize(PHONE);
	const before = readFileSync(file('sources/club.toml'), 'utf8');
	await button('Edit club', club).click();
	assert.match(await editor.getByLabel('Value of field 1').inputValue(), /^masked-/);
	await editor.getByLabel('Label').fill('Club');
	await button('As text', editor).click();
	const text = editor.getByRole('textbox');
	await eventually(async () => /label = "Club"/.test(await text.inputValue()), 'the form is shown as text');
	await text.fill((await text.inputValue()).replace('label = "Club"', 'priority = "high"'));
	await button('Check', editor).click();
	await says(/club\.toml:\d+: priority: /, editor);
	const selected = await text.evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd));
	assert.equal(selected, 'priority = "high"', 'the line with the mistake is selected');
	await text.fill((await text.inputValue()).replace('"high"', '5'));
	await button('Try it', editor).click();
	await editor.getByTestId('trial').waitFor();
	assert.deepEqual(await axeViolations(page), []);
	const tooWide = await page.evaluate(() =>
		[...document.querySelectorAll('main *')]
			.filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
			.map(
				(element) => `${element.tagName} ${element.className}: ${element.textContent.trim().slice(0, 80)}`,
			),
	);
	assert.ok(
		await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
		`fits a phone: ${tooWide}`,
	);
	await button('Save', editor).click();
	await editor.waitFor({ state: 'detached' });
	assert.equal(readFileSync(file('sources/club.toml'), 'utf8'), `${before}priority = 5\n`);

	await button('Edit pit').click();
	await button('Remove', editor).click();
	await button('Remove pit.toml for good', editor).click();
	await eventually(() => !existsSync(file('sources/pit.toml')), 'the file is gone');

	await button('Send each a test').click();
	await says(/1 of 1 took it/, page.getByTestId('notifications'));
	assert.deepEqual(alerts, ['test']);

	assert.deepEqual(strayRequests(traffic, origin), []);
	assert.deepEqual(
		traffic.requests.filter((request) => request.includes(TOKEN)),
		[],
		'the token is in no address',
	);
	const shown = await page.content();
	assert.ok(!shown.includes(SECRET) && !shown.includes(TOKEN));
	assert.equal(await page.evaluate(() => localStorage.getItem('pitwall:admin-token')), null);
	await button('Forget the token').click();
	await page.getByTestId('token-form').waitFor();
	assert.equal(await page.evaluate(() => sessionStorage.getItem('pitwall:admin-token')), null);
	// Chromium logs each refusal as an error.
	const unexpected = traffic.consoleErrors.filter((error) => !/status of (401|412|422)/.test(error));
	assert.deepEqual(unexpected, []);
});

test('the control page is in the language of the browser, or the one that is chosen', async (t) => {
	const { origin } = await startControlledEdge(t);
	const { page, traffic } = await openPage(t, { locale: 'de-DE' });
	await page.goto(`${origin}/control`);
	await page.getByLabel('Admin-Token').fill(TOKEN);
	await page.keyboard.press('Enter');
	const desk = page.getByTestId('control-desk');
	await desk.getByRole('heading', { name: 'Steuerung' }).waitFor();
	await page.locator('[data-source=club]').getByText('In Ordnung').waitFor();
	await eventually(
		async () => /0 Zuschauer, läuft (seit .+ )?von/.test(await desk.innerText()),
		'who watches',
	);
	await desk.getByTestId('add-source').click();
	await page.getByTestId('source-editor').getByText('Private Bereiche').waitFor();
	assert.deepEqual(await axeViolations(page), []);

	await page.getByTestId('language-picker').selectOption('en');
	await desk.getByRole('heading', { name: 'Control' }).waitFor();
	await page.getByTestId('source-editor').getByText('Private ranges').waitFor();
	assert.deepEqual(traffic.consoleErrors, []);
});
