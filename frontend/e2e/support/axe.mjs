// Runs axe-core in the page.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './process.mjs';

const AXE = readFileSync(path.join(ROOT, 'frontend/node_modules/axe-core/axe.min.js'), 'utf8');

/** The violations that axe finds, in both themes. */
export async function axeViolations(page) {
	const all = [];
	await page.evaluate(AXE);
	for (const colorScheme of ['dark', 'light']) {
		await page.emulateMedia({ colorScheme });
		const { violations } = await page.evaluate(() => window.axe.run());
		all.push(...violations.map(({ id, nodes }) => `${colorScheme} ${id}: ${nodes.map(({ html }) => html)}`));
	}
	return all;
}
