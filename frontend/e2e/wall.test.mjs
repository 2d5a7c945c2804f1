// The wall: up to nine tiles, moved by mouse, finger and keyboard while all of them play on; saved, linked, remembered.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, videoStates } from './support/browser.mjs';
import { watchLayout } from './support/layout-watch.mjs';
import { startMockEdge, RACE } from './support/mock-edge.mjs';
import { eventually } from './support/process.mjs';

const FOUR = 'world-feed,onboard-44,pit-lane,camera-1';
const NINE = `${FOUR},camera-2,camera-3,camera-4,camera-5,camera-6`;

/** Opens a wall and waits until all of its tiles play; returns actions of a viewer on it. */
async function openWall(t, edge, query, options) {
	const { page, traffic } = await openPage(t, options);
	await page.goto(`${edge.origin}/watch/${RACE}?${query}`);
	const playing = (count) =>
		eventually(async () => {
			const all = await videoStates(page);
			return all.length === count && all.every(({ time, paused }) => time > 0.5 && !paused);
		}, `${count} tiles play`);
	await playing(query.match(/s=([^&]*)/)[1].split(',').length);
	const place = (number) => page.locator(`[data-place="${number - 1}"]`);
	const centerOf = async (locator) => {
		const { x, y, width, height } = await locator.boundingBox();
		return [x + width / 2, y + height / 2];
	};
	return {
		...{ page, traffic, playing, place, centerOf },
		/** The streams in the order of their places. */
		streams: () =>
			page.evaluate(() =>
				[...document.querySelectorAll('[data-place] video')]
					.map((video) => [video.closest('[data-place]').dataset.place, video.dataset.stream])
					.sort(([a], [b]) => a - b)
					.map(([, stream]) => stream)
					.join(),
			),
		async dragTo(from, to) {
			await page.mouse.move(...(await centerOf(from)));
			await page.mouse.down();
			await page.mouse.move(...(await centerOf(to)), { steps: 5 });
			assert.equal(await page.locator('.target').count(), 1, 'the place under the pointer is marked');
			await page.mouse.up();
		},
		/** Remembers the video elements; the returned function lists those that stopped, jumped, or are new. */
		async watchVideos() {
			await page.evaluate(() => {
				const all = [...document.querySelectorAll('video')];
				window.watched = all.map((video) => {
					const watch = { video, events: [] };
					for (const type of ['pause', 'emptied', 'seeking', 'waiting'])
						video.addEventListener(type, () => watch.events.push(type));
					return watch;
				});
			});
			return () =>
				page.evaluate(() =>
					[...document.querySelectorAll('video')].flatMap((video) => {
						const watch = window.watched.find((candidate) => candidate.video === video);
						const events = watch ? watch.events.filter((type) => type !== 'waiting') : ['new'];
						return events.length ? [`${video.dataset.stream}: ${events}`] : [];
					}),
				);
		},
	};
}

test('a wall of up to nine tiles', async (t) => {
	const edge = await startMockEdge(t, 'live', '--cameras', '6');

	await t.test('nine tiles open from their address, of equal size and without a layout shift', async (t) => {
		const { page } = await openWall(t, edge, `l=3x3&s=${NINE}`);
		const layoutChanges = await watchLayout(page);
		const boxes = (await videoStates(page)).map(({ box }) => [box.width, box.height].map(Math.round));
		for (const box of boxes) assert.deepEqual(box, boxes[0]);
		assert.ok(Math.abs(boxes[0][0] / boxes[0][1] - 16 / 9) < 0.03, `16:9: ${boxes[0]}`);
		const lowest = Math.max(...(await videoStates(page)).map(({ box }) => box.bottom));
		assert.ok(lowest < 900, `no tile is below the window: ${lowest}`);
		assert.equal((await videoStates(page)).filter(({ muted }) => !muted).length, 1, 'one is heard');
		await page.keyboard.press('a');
		await page.keyboard.press('9');
		const heard = (await videoStates(page)).map(({ muted }) => !muted);
		assert.equal(heard.indexOf(true), 8, 'the key 9 hears the ninth');
		assert.equal(heard.filter(Boolean).length, 1);
		assert.deepEqual(await layoutChanges(), []);
	});

	await t.test('tiles trade places by mouse and keyboard, and no video stops', async (t) => {
		const wall = await openWall(t, edge, `l=2x2&s=${FOUR}`);
		const { page, place, streams, dragTo, watchVideos } = wall;
		const disturbed = await watchVideos();
		await dragTo(place(1).locator('video'), place(4).locator('video'));
		assert.equal(await streams(), 'camera-1,onboard-44,pit-lane,world-feed', 'the picture was dragged');
		assert.match(page.url(), /s=camera-1,onboard-44,pit-lane,world-feed/);
		await place(2).hover();
		await dragTo(place(2).getByTestId('move-tile'), place(1).locator('video'));
		assert.equal(await streams(), 'onboard-44,camera-1,pit-lane,world-feed', 'the handle was dragged');
		await place(1).getByTestId('move-tile').focus();
		await page.keyboard.press('ArrowDown');
		await page.keyboard.press('ArrowRight');
		assert.equal(await streams(), 'pit-lane,camera-1,world-feed,onboard-44', 'moved by arrows');
		const focused = await page.evaluate(() => document.activeElement.getAttribute('aria-label'));
		assert.equal(focused, 'Move Onboard 44, tile 4 of 4, with the arrow keys');
		await page.keyboard.press('Shift+Digit2');
		assert.equal(
			await streams(),
			'camera-1,pit-lane,world-feed,onboard-44',
			'Shift 2 makes the second first',
		);
		await page.mouse.move(...(await wall.centerOf(place(1))));
		await page.mouse.down();
		await page.mouse.move(5, 5, { steps: 4 });
		await page.mouse.up();
		assert.equal(await streams(), 'camera-1,pit-lane,world-feed,onboard-44', 'dropped beside the wall');
		assert.deepEqual(await disturbed(), []);
	});

	await t.test('a stream of the list goes into a tile, and only that tile loads', async (t) => {
		const { page, traffic, place, streams, dragTo, watchVideos, playing } = await openWall(
			t,
			edge,
			'l=1p2&s=world-feed,onboard-44,pit-lane',
		);
		const disturbed = await watchVideos();
		const feed = (stream) => page.locator(`[data-testid=feed][data-stream=${stream}]`);
		await dragTo(feed('camera-2'), place(2).locator('video'));
		assert.equal(await streams(), 'world-feed,camera-2,pit-lane');
		await eventually(
			async () => (await place(2).getByTestId('tile').getAttribute('data-phase')) === 'playing',
			'the new stream plays',
		);
		assert.ok(
			(await disturbed()).every((line) => line.startsWith('camera-2')),
			(await disturbed()).join(),
		);
		await feed('onboard-44').click();
		assert.equal(
			await streams(),
			'onboard-44,camera-2,pit-lane',
			'a click shows it in the tile that is heard',
		);
		await page.getByRole('button', { name: 'Undo' }).click();
		assert.equal(await streams(), 'world-feed,camera-2,pit-lane');
		await page.getByRole('button', { name: 'Add Onboard 44' }).click();
		await playing(4);
		assert.match(page.url(), /l=1p3&/);
		assert.deepEqual(traffic.consoleErrors, []);
	});

	await t.test('layouts are chosen, saved by name, and remembered', async (t) => {
		const { page, streams, playing } = await openWall(t, edge, `l=2&s=world-feed,onboard-44`);
		const layout = () => page.getByTestId('wall').getAttribute('data-layout');
		const pick = async (name) => {
			await page.getByTestId('layout-menu').click();
			await page.getByRole('menu').getByText(name, { exact: true }).click();
		};
		await pick('Four');
		assert.equal(await page.getByTestId('empty-place').count(), 2);
		await page.getByTestId('empty-place-menu').first().focus();
		await page.keyboard.press('Enter');
		await page.keyboard.press('Enter');
		await playing(3);
		const focused = () => page.evaluate(() => document.activeElement.closest('[data-place]')?.dataset.place);
		assert.equal(await focused(), '2', 'the focus is in the tile that was added');
		const three = await streams();
		await pick('Save this wall …');
		await page.getByLabel('Name of this wall').fill('Race day');
		await page.keyboard.press('Enter');
		await pick('One');
		await playing(1);
		await page.keyboard.press('w');
		assert.equal(await layout(), '2', 'W is the next layout');
		await pick('Race day');
		await playing(3);
		assert.equal(await streams(), three);
		assert.equal(await layout(), '2x2');
		await page.getByTestId('remove-tile').first().focus();
		await page.keyboard.press('Enter');
		await playing(2);
		assert.equal(await focused(), '0', 'the focus is in the tile that took the place');
		await page.getByRole('link', { name: 'Schedule' }).first().click();
		await page.getByTestId('meeting').first().waitFor();
		await page.getByRole('link', { name: 'Watch', exact: true }).first().click();
		await playing(2);
		assert.equal(await layout(), '2x2', 'the wall is there again');
		assert.match(page.url(), /l=2x2&s=/);
	});

	await t.test('what a link asks for and cannot be shown is said', async (t) => {
		for (const [query, tiles, remark] of [
			[`l=5x5&s=${FOUR}`, 4, /no layout “5x5”/],
			[`l=2&s=${FOUR}`, 4, /holds 2 of its 4 streams/],
			[`s=${NINE},one-more`, 9, /at most 9 tiles: one-more/],
		]) {
			const { page } = await openPage(t);
			await page.goto(`${edge.origin}/watch/${RACE}?${query}`);
			await page.getByTestId('notice').filter({ hasText: remark }).waitFor();
			await eventually(
				async () => (await page.locator('video').count()) === tiles,
				`${query}: ${tiles} tiles`,
			);
			await page.close();
		}
	});

	await t.test('a phone: a finger moves tiles, and on its side the picture fills the window', async (t) => {
		const device = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
		const { page, place, streams, centerOf, watchVideos } = await openWall(
			t,
			edge,
			`l=1p3&s=${FOUR}`,
			device,
		);
		const disturbed = await watchVideos();
		await page.touchscreen.tap(...(await centerOf(place(2))));
		const pointer = await page.context().newCDPSession(page);
		const touch = (type, points) => pointer.send('Input.dispatchTouchEvent', { type, touchPoints: points });
		const [from, to] = [await centerOf(place(2).getByTestId('move-tile')), await centerOf(place(1))];
		await touch('touchStart', [{ x: from[0], y: from[1] }]);
		for (let step = 1; step <= 5; step += 1) {
			const [x, y] = from.map((start, axis) => start + ((to[axis] - start) * step) / 5);
			await touch('touchMove', [{ x, y }]);
		}
		await touch('touchEnd', []);
		assert.equal(await streams(), 'onboard-44,world-feed,pit-lane,camera-1');
		assert.deepEqual(await disturbed(), []);
		await page.goto(`${edge.origin}/watch/${RACE}?l=1&s=world-feed`);
		await page.setViewportSize({ width: 844, height: 390 });
		const box = await page.locator('video').first().boundingBox();
		assert.ok(box.y >= 0 && box.y < 4 && box.height > 380, `the picture in 844x390: ${JSON.stringify(box)}`);
	});

	await t.test('two tiles in full screen use most of it', async (t) => {
		const { page } = await openWall(t, edge, 'l=2&s=world-feed,onboard-44');
		await page.keyboard.press('F');
		await eventually(() => page.evaluate(() => document.fullscreenElement !== null), 'full screen');
		await eventually(async () => {
			const [{ box }] = await videoStates(page);
			const share = (box.width * box.height) / (1440 * 900);
			return share > 0.85 && box.top >= 0 && box.bottom <= 900;
		}, 'the first picture fills the screen');
		await page.keyboard.press('F');
		await eventually(
			async () => (await page.getByTestId('wall').getAttribute('data-layout')) === '2',
			'and back',
		);
	});

	await t.test('arrows and Enter alone reach tiles, streams and menus, as a TV remote does', async (t) => {
		const { page, playing, streams } = await openWall(t, edge, 'l=2&s=world-feed,onboard-44', {
			viewport: { width: 1920, height: 1080 },
		});
		const focused = () =>
			page.evaluate(() => {
				const { dataset, innerText, ariaLabel } = document.activeElement;
				return `${dataset.testid ?? ''} ${dataset.stream ?? ''} ${ariaLabel ?? innerText}`;
			});
		const reached = new Set();
		for (const key of ['Down', 'Down', 'Right', 'Right', 'Down', 'Down', 'Left', 'Up', 'Up', 'Up']) {
			await page.keyboard.press(`Arrow${key}`);
			reached.add(await focused());
		}
		assert.ok(reached.size >= 6, `ten arrows: ${[...reached].join(' | ')}`);
		const goTo = async (testid, keys) => {
			for (let press = 0; press < 20; press += 1) {
				if ((await focused()).startsWith(testid)) return;
				await page.keyboard.press(`Arrow${keys[press % keys.length]}`);
			}
			assert.fail(`${testid} was not reached; last: ${await focused()}`);
		};
		await goTo('feed', ['Down']);
		await goTo('feed-add', ['Right']);
		await page.keyboard.press('Enter');
		await playing(3);
		assert.equal((await streams()).split(',').length, 3);
	});
});
