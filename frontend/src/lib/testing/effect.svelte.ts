/** Runs this as a component's effect does. The returned function takes the component down. */
export function inEffect(run: () => () => void): () => void {
	return $effect.root(() => {
		$effect(run);
	});
}
