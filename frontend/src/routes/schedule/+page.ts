import { edgeDocuments, loadBootstrap } from '$lib/api/edge-documents';
import type { PageLoad } from './$types';

/** Starts the requests and does not wait for them: the page shows a skeleton meanwhile. */
export const load: PageLoad = () => {
	void loadBootstrap();
	void edgeDocuments.schedule.ready();
	return { schedule: edgeDocuments.schedule };
};
