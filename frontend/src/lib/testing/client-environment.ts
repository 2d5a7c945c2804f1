/** A vitest environment without a DOM in which Svelte's client runtime is used, so that effects run. */
export default {
	name: 'client',
	viteEnvironment: 'client',
	setup: () => ({ teardown: () => {} }),
};
