import { edge, start } from '$lib/api/edge';
import type { PageLoad } from './$types';

/** Starts loading and does not wait: the page has a skeleton to show. */
export const load: PageLoad = () => {
	void start();
	void edge.schedule.ready();
	return { schedule: edge.schedule };
};
