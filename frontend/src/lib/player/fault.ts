import type { ErrorData } from 'hls.js';
import type { Fault } from './ladder';

/** hls.js's names, spelled out so that this file needs only its types. */
const MANIFEST = /^manifest/;
const FROZEN = 'playlistUnchangedError';

/** What an hls.js error means to the ladder; null when hls.js deals with it alone. */
export function faultOf({
	type,
	details,
	fatal,
}: Pick<ErrorData, 'type' | 'details' | 'fatal'>): Fault | null {
	if (details === FROZEN) return { kind: 'frozen' };
	if (!fatal) return null;
	if (type === 'mediaError') return { kind: 'media' };
	if (type === 'networkError') return { kind: 'network', manifest: MANIFEST.test(details) };
	return { kind: 'other' };
}

/** The same for a viewer. */
export function wordsFor({
	type,
	details,
	response,
}: Pick<ErrorData, 'type' | 'details' | 'response'>): string {
	if (details === FROZEN) return 'The stream stopped moving';
	if (type === 'mediaError') return 'The picture could not be decoded';
	if (type !== 'networkError') return 'The player ran into a fault';
	const status = response?.code ? ` (${response.code})` : '';
	return MANIFEST.test(details) ? `The stream did not answer${status}` : `The stream broke off${status}`;
}
