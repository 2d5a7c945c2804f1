import { edge } from '$lib/api/edge';
import type { PageLoad } from './$types';

export const load: PageLoad = () => {
	const { status, streams, extractors } = edge;
	for (const document of [status, streams, extractors]) void document.ready();
	return { status, streams, extractors };
};
