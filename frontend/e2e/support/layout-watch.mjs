/**
 * Watches for movements in the page. The returned function lists them: every layout shift, including those after a
 * click, and each of the selected elements whose position has changed.
 */
export async function watchLayout(page, selectors = ['h1', 'video', '[data-testid=stream-list]']) {
	const elementPositions = () =>
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
				const nodes = sources.map(({ node }) => node?.outerHTML?.slice(0, 120) ?? node?.textContent);
				window.shifts.push(`shift of ${value.toFixed(4)}: ${nodes.join(' | ')}`);
			}
		}).observe({ type: 'layout-shift' });
	});
	const before = await elementPositions();
	return async () => [
		...(await page.evaluate(() => window.shifts)),
		...(await elementPositions()).filter((place) => !before.includes(place)),
	];
}
