import { edge, start } from '$lib/api/edge';
import type { PageLoad } from './$types';

/** Waits for nothing: what the shell brought is here at once, the rest arrives while the page is shown. */
export const load: PageLoad = ({ params }) => {
	const started = start();
	void started.then(() => edge.streams.ready());
	void edge.schedule.ready();
	return { session: params.session ?? null, ...edge };
};
