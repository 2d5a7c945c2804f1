/** A vitest environment without a browser in which Svelte's own effects run, as they do in the page. */
export default {
	name: 'client',
	viteEnvironment: 'client',
	setup: () => ({ teardown: () => {} }),
};
