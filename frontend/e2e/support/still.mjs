/**
 * Watches that nothing of the page moves. The returned function gives what did: every layout shift, those after a
 * click too, and each of these elements that stands elsewhere than at first.
 */
export async function still(page, selectors = ['h1', 'video', '[data-testid=stream-list]']) {
	const places = () =>
		page.evaluate(
			(selectors) =>
				selectors.map((selector) => {
					const box = document.querySelector(selector)?.getBoundingClientRect();
					return `${selector}: ${box ? [box.x, box.y, box.width].map(Math.round) : 'gone'}`;
				}),
			selectors,
		);
	await page.evaluate(() => {
		window.shifts = [];
		new PerformanceObserver((list) => {
			for (const { value, sources } of list.getEntries()) {
				const of = sources.map(({ node }) => node?.outerHTML?.slice(0, 120) ?? node?.textContent);
				window.shifts.push(`shift of ${value.toFixed(4)}: ${of.join(' | ')}`);
			}
		}).observe({ type: 'layout-shift' });
	});
	const before = await places();
	return async () => [
		...(await page.evaluate(() => window.shifts)),
		...(await places()).filter((place) => !before.includes(place)),
	];
}
