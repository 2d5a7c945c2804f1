import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const START = /<script>([\s\S]*?)<\/script>/;

/**
 * Wraps an adapter and finishes the shell it wrote, in two steps.
 *
 * 1. The start script moves to a file of its own, so that the page needs no inline script and the edge can
 *    send one constant `script-src 'self'`.
 * 2. The modules of the Watch page, hls.js above all, are preloaded from the shell: the three-second path.
 *
 * @param {import('@sveltejs/kit').Adapter} inner
 * @returns {import('@sveltejs/kit').Adapter}
 */
export function shell(inner) {
	return {
		...inner,
		name: 'pitwall-shell',
		async adapt(builder) {
			await inner.adapt(builder);
			const root = 'build';
			const index = path.join(root, 'index.html');
			let html = readFileSync(index, 'utf8');

			const script = START.exec(html)?.[1]?.trim();
			if (!script) throw new Error('no start script in index.html: has SvelteKit changed its shell?');
			const hash = createHash('sha256').update(script).digest('base64url').slice(0, 8);
			const start = `/_app/immutable/entry/shell.${hash}.js`;
			writeFileSync(path.join(root, start), script);
			html = html.replace(START, `<script src="${start}"></script>`);

			const manifest = JSON.parse(
				readFileSync(path.join(builder.getBuildDirectory('output/client'), '.vite/manifest.json'), 'utf8'),
			);
			const links = watchModules(manifest)
				.map((file) => `/${file}`)
				.filter((href) => !html.includes(`"${href}"`))
				.map((href) =>
					href.endsWith('.css')
						? `<link href="${href}" rel="stylesheet">`
						: `<link href="${href}" rel="modulepreload">`,
				);
			html = html.replace('</head>', `${links.join('\n\t\t')}\n\t</head>`);
			writeFileSync(index, html);
		},
	};
}

/**
 * Files the Watch page needs: its node, hls.js, everything these import statically, and their styles.
 *
 * @param {Record<string, { file: string, imports?: string[], css?: string[] }>} manifest
 * @returns {string[]}
 */
function watchModules(manifest) {
	const files = new Set();
	/** @param {string} key */
	const visit = (key) => {
		const chunk = manifest[key];
		if (!chunk) throw new Error(`${key} is not in the build: has it moved?`);
		if (files.has(chunk.file)) return;
		files.add(chunk.file);
		chunk.css?.forEach((file) => files.add(file));
		chunk.imports?.forEach(visit);
	};
	visit(watchNode());
	visit(HLS);
	return [...files];
}

const HLS = 'node_modules/hls.js/dist/hls.mjs';
const GENERATED = '.svelte-kit/generated/client-optimized/nodes';

/** SvelteKit numbers its nodes; the generated module of each names the component it stands for. */
function watchNode() {
	const node = readdirSync(GENERATED).find((name) =>
		readFileSync(path.join(GENERATED, name), 'utf8').includes('routes/watch/[[session]]/+page.svelte'),
	);
	return `${GENERATED}/${node}`;
}
