import { fileURLToPath } from 'node:url';

/** The parts of hls.js with which the page is built: hls.js's own flags, as its build sets them. */
const FEATURES = {
	ALT_AUDIO: true,
	CMCD: true,
	M2TS_ADVANCED_CODECS: true,
	MEDIA_CAPABILITIES: true,
	SUBTITLES: true,
	VARIABLE_SUBSTITUTION: false, // the edge substitutes variables itself
	EME_DRM: false, // the page plays no streams with DRM
	CONTENT_STEERING: false, // the edge publishes one pathway
	INTERSTITIALS: false, // inserted media would have no place on the clock that all tiles share
	IFRAMES: false, // thumbnails come from the smallest rendition
};

const MODULES = fileURLToPath(new URL('node_modules/', import.meta.url));
const SOURCE = `${MODULES}hls.js/src/`;
const WORKER_START = 'new self.Worker(scriptURL)';

/**
 * A Vite plugin that builds hls.js from its sources instead of taking its bundles, which leave in what the page does
 * without, and which come with a second copy of the transmuxer for its worker.
 *
 * The file that holds hls.js starts the transmuxer when it runs in a worker, so that one file serves both; such a
 * worker has to be a module.
 *
 * @param {string} version the version of hls.js
 * @returns {import('vite').Plugin}
 */
export function hlsFromSource(version) {
	return {
		name: 'hls-from-source',
		enforce: 'pre',
		config: () => ({
			resolve: {
				alias: [
					{ find: /^hls\.js$/, replacement: `${SOURCE}hls.ts` },
					{ find: /^eventemitter3$/, replacement: `${MODULES}eventemitter3/dist/eventemitter3.esm.js` },
				],
			},
			define: {
				...Object.fromEntries(
					Object.entries(FEATURES).map(([name, isUsed]) => [`__USE_${name}__`, String(isUsed)]),
				),
				__VERSION__: JSON.stringify(version),
				__IN_WORKER__: '(typeof document === "undefined")',
			},
		}),
		transform(code, id) {
			// As a CommonJS module it would need helpers, which the bundler puts beside Svelte and thus into the worker.
			if (id.endsWith('/url-toolkit.js'))
				return {
					code: `const module = { exports: {} }, exports = module.exports;\n${code}\nexport const { buildAbsoluteURL } = module.exports;`,
					map: null,
				};
			if (id !== `${SOURCE}demux/inject-worker.ts`) return;
			if (!code.includes(WORKER_START)) throw new Error('no start of a worker: has hls.js changed?');
			return {
				code: code.replace(WORKER_START, "new self.Worker(scriptURL, { type: 'module' })"),
				map: null,
			};
		},
	};
}
