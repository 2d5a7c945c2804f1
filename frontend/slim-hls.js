/** The controllers of hls.js that the page does without. Each is optional: hls.js's light build lacks them too. */
const UNUSED = {
	emeController: 'the page plays no streams with DRM',
	contentSteeringController: 'the edge publishes one pathway',
	interstitialsController: 'inserted media would have no place on the clock that all tiles share',
	iframeController: 'the seek bar shows no thumbnails',
};

/**
 * A Vite plugin that takes the unused controllers out of hls.js's default configuration, so that the bundler drops
 * their code, which is a fifth of hls.js.
 *
 * @returns {import('vite').Plugin}
 */
export function slimHls() {
	return {
		name: 'slim-hls',
		apply: 'build',
		transform(code, id) {
			if (!id.endsWith('/hls.js/dist/hls.mjs')) return;
			let slim = code;
			for (const controller of Object.keys(UNUSED)) {
				const entry = new RegExp(`^( +${controller}): [A-Z]\\w+ *(,?)$`, 'm');
				if (!entry.test(slim))
					throw new Error(`no ${controller} in hls.js's configuration: has hls.js changed?`);
				slim = slim.replace(entry, '$1: undefined$2');
			}
			return { code: slim, map: null };
		},
	};
}
