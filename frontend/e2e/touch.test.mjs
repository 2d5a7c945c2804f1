// Touch, pen and mouse on a tile: every control can be reached, and no tap pauses the stream by mistake.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, videoStates } from './support/browser.mjs';
import { startMockEdge, RACE } from './support/mock-edge.mjs';
import { eventually } from './support/process.mjs';

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
/** A laptop with a touch screen. */
const HYBRID = { hasTouch: true };
const ONE = `/watch/${RACE}?l=1&s=world-feed`;
const TWO = `/watch/${RACE}?l=2&s=world-feed,onboard-44&a=world-feed`;
/** Time limit for the controls to hide, which they do after three seconds. */
const HIDE_TIMEOUT_SECONDS = 8;

/** Opens the wall on a device and waits until every tile plays; returns the actions of a viewer on one tile. */
async function openOnDevice(t, options, address, tile = 0) {
	const edge = await startMockEdge(t);
	const { page } = await openPage(t, options);
	await page.goto(edge.origin + address);
	await eventually(async () => {
		const all = await videoStates(page);
		return all.length > 0 && all.every(({ time, paused }) => time > 1 && !paused);
	}, 'it plays');
	const pointer = await page.context().newCDPSession(page);
	const tileLocator = page.getByTestId('tile').nth(tile);
	const centerOf = async (locator) => {
		const box = await locator.boundingBox();
		return [box.x + box.width / 2, box.y + box.height / 2];
	};
	const videoCenter = () => centerOf(tileLocator.locator('video'));
	const press = async (type, [x, y], pointerType, buttons) =>
		pointer.send('Input.dispatchMouseEvent', {
			...{ type, x, y, pointerType, buttons, clickCount: 1 },
			button: buttons || type === 'mouseReleased' ? 'left' : 'none',
		});
	return {
		page,
		tileLocator,
		videoCenter,
		state: async () => (await videoStates(page))[tile],
		/** Whether the controls are visible and take clicks. */
		areControlsShown: () =>
			tileLocator
				.locator('.chrome')
				.first()
				.evaluate((chrome) => getComputedStyle(chrome).pointerEvents !== 'none'),
		tap: async (id) =>
			page.touchscreen.tap(...(await (id ? centerOf(tileLocator.getByTestId(id)) : videoCenter()))),
		click: async () => page.mouse.click(...(await videoCenter())),
		move: async () => page.mouse.move(...(await videoCenter())),
		/** A pen press without hovering before or after it. */
		async pen() {
			const at = await videoCenter();
			await press('mousePressed', at, 'pen', 1);
			await press('mouseReleased', at, 'pen', 0);
		},
		async longPress() {
			const [x, y] = await videoCenter();
			await pointer.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [{ x, y }] });
			await page.waitForTimeout(1_000);
			await pointer.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
		},
		async swipe(by) {
			const [x, y] = await videoCenter();
			const touch = (type, points) => pointer.send('Input.dispatchTouchEvent', { type, touchPoints: points });
			await touch('touchStart', [{ x, y }]);
			for (let step = 1; step <= 8; step += 1) await touch('touchMove', [{ x, y: y - (by * step) / 8 }]);
			await touch('touchEnd', []);
		},
	};
}

const waitUntilControlsHidden = ({ areControlsShown }) =>
	eventually(async () => !(await areControlsShown()), 'the controls rest', HIDE_TIMEOUT_SECONDS);

test('a phone: ten taps, and each time every control is in reach', async (t) => {
	const phone = await openOnDevice(t, PHONE, ONE);
	const { page, tileLocator, areControlsShown, tap, state } = phone;
	const box = await tileLocator.locator('video').boundingBox();
	for (let round = 0; round < 10; round += 1) {
		await waitUntilControlsHidden(phone);
		const { muted } = await state();
		await tap();
		await eventually(areControlsShown, `round ${round}: the tap shows the controls`, 3);
		const after = await state();
		assert.deepEqual([after.muted, after.paused], [muted, false], `round ${round}: and does nothing else`);
		await tap('mute');
		await eventually(async () => (await state()).muted !== muted, `round ${round}: mute`, 3);
		for (const menu of ['quality', 'tile-stream']) {
			await tap(menu);
			await page.getByRole('menu').waitFor({ timeout: 3_000 });
			const hit = await page.getByRole('menu').evaluate((list) => {
				const items = [...list.querySelectorAll('[data-item]')];
				return items.map((item) => {
					item.scrollIntoView({ block: 'nearest' });
					const { x, y, width, height } = item.getBoundingClientRect();
					return item.contains(document.elementFromPoint(x + width / 2, y + height / 2));
				});
			});
			assert.ok(hit.length > 1 && hit.every(Boolean), `round ${round}: ${menu}, each can be tapped: ${hit}`);
			await tap(menu);
			await page.getByRole('menu').waitFor({ state: 'detached', timeout: 3_000 });
		}
		await tap('fullscreen');
		await eventually(() => page.evaluate(() => document.fullscreenElement !== null), 'full screen', 3);
		await page.evaluate(() => document.exitFullscreen());
		await eventually(async () => {
			const now = await tileLocator.locator('video').boundingBox();
			return Math.abs(now.y - box.y) < 2 && Math.abs(now.width - box.width) < 2;
		}, 'and back');
		await tap();
		await eventually(
			async () => !(await areControlsShown()),
			`round ${round}: a tap puts the controls away`,
			2,
		);
		assert.equal((await state()).paused, false, `round ${round}: it plays on`);
	}
});

test('a phone: a tap where a control is about to appear only shows it', async (t) => {
	const phone = await openOnDevice(t, PHONE, ONE);
	const { page, tileLocator, areControlsShown, state } = phone;
	for (const id of ['play', 'mute', 'fullscreen']) {
		const box = await tileLocator.getByTestId(id).boundingBox();
		await waitUntilControlsHidden(phone);
		const { muted } = await state();
		await page.touchscreen.tap(box.x + box.width / 2, box.y + box.height / 2);
		await eventually(areControlsShown, `${id} is shown`, 3);
		const after = await state();
		const isFullscreen = await page.evaluate(() => document.fullscreenElement !== null);
		assert.deepEqual(
			[after.muted, after.paused, isFullscreen],
			[muted, false, false],
			`${id} was not pressed`,
		);
	}
});

test('a phone with two tiles: taps choose what is heard and never pause', async (t) => {
	const { page, tap, areControlsShown, state } = await openOnDevice(t, PHONE, TWO, 1);
	await eventually(async () => !(await areControlsShown()), 'the controls rest', HIDE_TIMEOUT_SECONDS);
	for (let round = 0; round < 10; round += 1) {
		await tap();
		await page.waitForTimeout(300);
		const all = await videoStates(page);
		assert.ok(
			all.every(({ paused }) => !paused),
			`tap ${round}: both play`,
		);
	}
	assert.equal((await state()).muted, false, 'the tile that was tapped is heard');
});

test('a phone: a long press and a swipe only show the controls', async (t) => {
	const phone = await openOnDevice(t, PHONE, ONE);
	const { page, longPress, swipe, areControlsShown, tap, state } = phone;
	await waitUntilControlsHidden(phone);
	await longPress();
	await eventually(areControlsShown, 'a long press shows the controls', 3);
	assert.equal((await state()).paused, false);
	await waitUntilControlsHidden(phone);
	await swipe(200);
	assert.ok((await page.evaluate(() => scrollY)) > 50, 'a swipe over the picture scrolls');
	await page.evaluate(() => scrollTo(0, 0));
	await eventually(areControlsShown, 'a swipe shows the controls', 3);
	assert.equal((await state()).paused, false);
	await waitUntilControlsHidden(phone);
	// Momentum scrolling after the swipe may have moved the page again.
	await page.evaluate(() => scrollTo(0, 0));
	await tap();
	await eventually(areControlsShown, 'a tap shows the controls', 3);
	const { muted } = await state();
	await tap('mute');
	await eventually(async () => (await state()).muted !== muted, 'and the next one mutes', 3);
});

test('a pen: the first press shows the controls, none pauses', async (t) => {
	const tablet = await openOnDevice(t, HYBRID, ONE);
	const { pen, areControlsShown, state } = tablet;
	for (let round = 0; round < 4; round += 1) {
		await waitUntilControlsHidden(tablet);
		await pen();
		await eventually(areControlsShown, `press ${round} shows the controls`, 3);
		assert.equal((await state()).paused, false, `press ${round}: it plays on`);
	}
	await pen();
	assert.equal((await state()).paused, false, 'nor the second one');
});

test('a mouse and then a finger: each does what it does alone', async (t) => {
	const laptop = await openOnDevice(t, HYBRID, ONE);
	const { click, move, tap, areControlsShown, state, page } = laptop;
	await move();
	await eventually(areControlsShown, 'a mouse that moves shows the controls', 3);
	await click();
	await eventually(async () => (await state()).paused, 'one tile: a click pauses', 3);
	await click();
	await eventually(async () => !(await state()).paused, 'and plays', 3);
	await waitUntilControlsHidden(laptop);
	for (let round = 0; round < 3; round += 1) {
		await tap();
		await eventually(areControlsShown, `round ${round}: a tap shows the controls`, 3);
		assert.equal((await state()).paused, false, `round ${round}: a tap does not pause`);
		await tap();
		await eventually(
			async () => !(await areControlsShown()),
			`round ${round}: the next one puts them away`,
			2,
		);
		assert.equal((await state()).paused, false, `round ${round}: nor does that`);
	}
	await page.mouse.move(2, 2);
	await move();
	await eventually(areControlsShown, 'the mouse again', 3);
	await click();
	await eventually(async () => (await state()).paused, 'a click pauses as before', 3);
});

test('two tiles and a mouse: a click hears and never pauses', async (t) => {
	const { page } = await openOnDevice(t, {}, TWO);
	for (const tile of [1, 1, 0, 0, 0]) {
		await page.locator('video').nth(tile).click();
		// Longer than the interval of a double click.
		await page.waitForTimeout(600);
		const all = await videoStates(page);
		assert.deepEqual(
			all.map(({ muted, paused }) => [muted, paused]),
			[0, 1].map((n) => [n !== tile, false]),
		);
	}
});
