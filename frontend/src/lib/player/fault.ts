import type { ErrorData } from 'hls.js';
import { OUTAGES, type Outage } from '$lib/api/connection.svelte';
import type { Fault } from './ladder';
import type { Trouble } from './view';

/** hls.js's names, spelled out so that this file needs only its types. */
const MANIFEST = /^manifest/;
const FROZEN = 'playlistUnchangedError';
const RENDITION = /^(level|audioTrack|subtitleTrack)LoadError$/;

type Told = Pick<ErrorData, 'type' | 'details' | 'response'>;

/** hls.js tries the other levels, which are gone with it, and says nothing fatal for long. */
const isGone = ({ details, response }: Told) => RENDITION.test(details) && response?.code === 404;

/** Not even a refusal came back: the network, or the edge, is gone. */
export const isUnanswered = ({ type, response }: Told) => type === 'networkError' && !response?.code;

/** What an hls.js error means to the ladder; null when hls.js deals with it alone. */
export function faultOf(error: Told & Pick<ErrorData, 'fatal'>): Fault | null {
	const { type, details, fatal } = error;
	if (details === FROZEN) return { kind: 'frozen' };
	if (isGone(error)) return { kind: 'gone' };
	if (!fatal) return null;
	if (type === 'mediaError') return { kind: 'media' };
	if (type === 'networkError') return { kind: 'network', manifest: MANIFEST.test(details) };
	return { kind: 'other' };
}

/** The same for a viewer. */
export function wordsFor(error: Told): string {
	const { type, details, response } = error;
	if (details === FROZEN) return 'The stream stopped moving';
	if (isGone(error)) return 'The stream has changed';
	if (type === 'mediaError') return 'The picture could not be decoded';
	if (type !== 'networkError') return 'The player ran into a fault';
	const status = response?.code ? ` (${response.code})` : '';
	return MANIFEST.test(details) ? `The stream did not answer${status}` : `The stream broke off${status}`;
}

/** Why nothing plays. Media that got no answer at all says nothing of the sources. */
export function downFor(outage: Outage | null, trouble: Trouble | null): string {
	if (outage) return OUTAGES[outage];
	return trouble?.answered === false ? 'Reconnecting' : 'All sources are down';
}
