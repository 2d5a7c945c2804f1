import adapter from '@sveltejs/adapter-static';
import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';
import { shell } from './build-shell.js';

/**
 * SvelteKit's route announcer hides itself with a style attribute, which `style-src 'self'` forbids. It gets
 * a class instead. (The root is SvelteKit's own, so it has no lang and no script to mind.)
 *
 * @type {import('svelte/compiler').PreprocessorGroup}
 */
const announcerWithoutStyle = {
	name: 'announcer-without-style',
	markup({ content, filename }) {
		if (!filename?.endsWith('generated/root.svelte')) return;
		const code = content.replace(/(<div id="svelte-announcer"[^>]*?) style="[^"]*"/, '$1 class="sr-only"');
		if (code === content) throw new Error('no style on the announcer: has SvelteKit changed its root?');
		return { code };
	},
};

/** @type {import('@sveltejs/kit').Config} */
export default {
	preprocess: [vitePreprocess(), announcerWithoutStyle],
	kit: {
		adapter: shell(adapter({ fallback: 'index.html' })),
		paths: { relative: false },
	},
};
