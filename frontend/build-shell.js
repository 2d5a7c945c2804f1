import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { preferredLanguage } from './src/lib/i18n/preferred-language.js';

const ROOT_PLACEHOLDER = '<!--pitwall:root-->';
const START_SCRIPT = /<script>([\s\S]*?)<\/script>/;

/**
 * Wraps an adapter and completes the shell (index.html) that the adapter wrote, in five steps.
 *
 * 1. The inline start script moves to a file, so that the edge can send a constant `script-src 'self'`. It takes the
 *    path below which a proxy publishes the edge from its own address.
 * 2. The start script sets the language of the document, and fetches its texts together with the modules of the page.
 * 3. The modules of the Watch page, above all hls.js, are preloaded, so that playback starts within three seconds.
 * 4. Links begin with a text that the edge replaces by the way from the requested path to the root.
 * 5. Every file that gets smaller is also written in brotli, which takes too long to be made while a viewer waits.
 *
 * @param {import('@sveltejs/kit').Adapter} adapter
 * @returns {import('@sveltejs/kit').Adapter}
 */
export function completeShell(adapter) {
	return {
		...adapter,
		name: 'pitwall-shell',
		async adapt(builder) {
			await adapter.adapt(builder);
			const root = 'build';
			const index = path.join(root, 'index.html');
			let html = readFileSync(index, 'utf8');

			const script = START_SCRIPT.exec(html)?.[1]
				?.trim()
				.replace('base: ""', `base: new URL('../../..', document.currentScript.src).pathname.slice(0, -1)`)
				.replaceAll('import("/_app/immutable/entry/', 'import("./');
			if (!script?.includes('currentScript.src') || script.includes('"/_app'))
				throw new Error('no start script in index.html: has SvelteKit changed its shell?');
			const manifest = JSON.parse(
				readFileSync(path.join(builder.getBuildDirectory('output/client'), '.vite/manifest.json'), 'utf8'),
			);
			const complete = `${languageScript(manifest)}\n${script}`;
			const hash = createHash('sha256').update(complete).digest('base64url').slice(0, 8);
			const start = `/_app/immutable/entry/shell.${hash}.js`;
			writeFileSync(path.join(root, start), complete);
			html = html.replace(START_SCRIPT, `<script src="${start}"></script>`);

			const links = watchModules(manifest)
				.map((file) => `/${file}`)
				.filter((href) => !html.includes(`"${href}"`))
				.map((href) =>
					href.endsWith('.css')
						? `<link href="${href}" rel="stylesheet">`
						: `<link href="${href}" rel="modulepreload">`,
				);
			html = html
				.replace('</head>', `${links.join('\n\t\t')}\n\t</head>`)
				.replace(/(href|src)="\//g, `$1="${ROOT_PLACEHOLDER}`);
			writeFileSync(index, html);
			compress(root);
		},
	};
}

/** @param {string} root */
function compress(root) {
	for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
		if (!/\.(js|css|svg|json|webmanifest)$/.test(name)) continue;
		const file = path.join(root, name);
		const [body, compressed] = [readFileSync(file), brotliCompressSync(readFileSync(file))];
		if (compressed.length < body.length) writeFileSync(`${file}.br`, compressed);
	}
}

/**
 * The beginning of the start script.
 *
 * @param {Record<string, { file: string }>} manifest
 */
function languageScript(manifest) {
	const german = manifest['src/lib/i18n/de.ts']?.file;
	if (!german) throw new Error('the German texts are not in the build: have they moved?');
	return `{
	let chosen = null;
	try { chosen = JSON.parse(localStorage.getItem('pitwall:language')); } catch {}
	const language = document.documentElement.lang = (${preferredLanguage})(chosen, navigator.languages ?? []);
	if (language === 'de') import(${JSON.stringify(`../../../${german}`)}).catch(() => {});
}`;
}

/**
 * The files that the Watch page needs: its node, hls.js, their static imports, and their style sheets.
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
	visit(HLS_MODULE);
	return [...files];
}

const HLS_MODULE = 'src/lib/player/hls.ts';
const GENERATED_NODES = '.svelte-kit/generated/client-optimized/nodes';

/** The node of the Watch page. SvelteKit numbers its nodes; each generated module contains its component's path. */
function watchNode() {
	const node = readdirSync(GENERATED_NODES).find((name) =>
		readFileSync(path.join(GENERATED_NODES, name), 'utf8').includes('routes/watch/[[session]]/+page.svelte'),
	);
	return `${GENERATED_NODES}/${node}`;
}
