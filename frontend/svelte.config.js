import adapter from '@sveltejs/adapter-static';
import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';
import { completeShell } from './build-shell.js';

/**
 * Replaces the style attribute with which SvelteKit's route announcer hides itself by a class, because the policy
 * `style-src 'self'` forbids style attributes.
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
		adapter: completeShell(adapter({ fallback: 'index.html' })),
	},
};
