import { t } from '$lib/i18n/texts';
import type { ErrorData } from 'hls.js';
import type { Outage } from '$lib/api/connection.svelte';
import type { PlaybackFault } from './recovery-policy';
import type { PlaybackFailure } from './player-view';

/** Names of hls.js errors, spelled out so that this module imports only hls.js's types and not its code. */
const MANIFEST_ERROR = /^manifest/;
const PLAYLIST_UNCHANGED_ERROR = 'playlistUnchangedError';
const RENDITION_LOAD_ERROR = /^(level|audioTrack|subtitleTrack)LoadError$/;

type HlsErrorInfo = Pick<ErrorData, 'type' | 'details' | 'response'>;

/**
 * A media playlist is answered with 404. After a switch of the source all levels are gone together; hls.js would
 * try each of them before it reports a fatal error.
 */
const isRenditionGone = ({ details, response }: HlsErrorInfo) =>
	RENDITION_LOAD_ERROR.test(details) && response?.code === 404;

/** A request got no HTTP response at all: the network or the edge is gone, not the source. */
export const isUnanswered = ({ type, response }: HlsErrorInfo) => type === 'networkError' && !response?.code;

/** The fault that `RecoveryPolicy` has to handle; null when hls.js recovers from the error by itself. */
export function classifyError(error: HlsErrorInfo & Pick<ErrorData, 'fatal'>): PlaybackFault | null {
	const { type, details, fatal } = error;
	if (details === PLAYLIST_UNCHANGED_ERROR) return { kind: 'playlist-unchanged' };
	if (isRenditionGone(error)) return { kind: 'rendition-gone' };
	if (!fatal) return null;
	if (type === 'mediaError') return { kind: 'media' };
	if (type === 'networkError') return { kind: 'network', manifest: MANIFEST_ERROR.test(details) };
	return { kind: 'other' };
}

/** The error in words for a viewer. */
export function describeError(error: HlsErrorInfo): string {
	const { type, details, response } = error;
	if (details === PLAYLIST_UNCHANGED_ERROR) return t('streamStopped');
	if (isRenditionGone(error)) return t('streamChanged');
	if (type === 'mediaError') return t('notDecoded');
	if (type !== 'networkError') return t('playerFault');
	const text = MANIFEST_ERROR.test(details) ? t('streamSilent') : t('streamBroke');
	return response?.code ? t('withStatus', { text, status: response.code }) : text;
}

/** Why nothing plays, for a viewer. Sources are blamed only if the edge answered the failed request. */
export function downMessage(outage: Outage | null, failure: PlaybackFailure | null): string {
	if (outage) return t(outage);
	return failure?.answered === false ? t('reconnecting') : t('allSourcesDown');
}
