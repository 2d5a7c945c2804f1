import type { LiveDocument } from './live-document.svelte';

/** For tests: follows as a page does, in an effect. The returned function takes the page down. */
export function followed(document: LiveDocument<unknown>): () => void {
	return $effect.root(() => {
		$effect(() => document.follow());
	});
}
