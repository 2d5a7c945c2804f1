/** `$app/paths` in unit tests: SvelteKit's own module starts the client, which needs a window. */
export const base = '';
