/** Runs a function as the effect of a component. The returned function destroys the component. */
export function runInEffect(run: () => () => void): () => void {
	return $effect.root(() => {
		$effect(run);
	});
}
