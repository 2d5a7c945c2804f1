import { sessionName } from '$lib/schedule/session-name';
import { t } from '$lib/i18n/texts';
import type { Session, Stream } from '$lib/api/documents';
import type { EdgeEvents } from '$lib/api/edge-events';
import { parseTimestamp } from '$lib/schedule/status';

/** A notice of a switch of the source, in the words of a viewer; null if it concerns no stream on the wall. */
export function switchNotice(
	{ stream: id, from, to }: EdgeEvents['switched'],
	streams: readonly Stream[],
	deadSources: ReadonlySet<string>,
): string | null {
	const stream = streams.find((candidate) => candidate.id === id);
	if (!stream || from === null) return null;
	const label = (name: string) => stream.sources.find((source) => source.name === name)?.label ?? name;
	const [feed, before] = [stream.feed, label(from)];
	if (to === null) return t('switchedOff', { feed, before });
	const values = { feed, before, source: label(to) };
	return deadSources.has(`${id} ${from}`) ? t('switchedBecause', values) : t('switchedTo', values);
}

/** A notice of what happened to the session that is on or next; null if nothing did that a viewer has to know. */
export function sessionNotice(before: Session | null, after: EdgeEvents['session']): string | null {
	if (!after) return null;
	if (after.status === 'live' && (before?.id !== after.id || before.status !== 'live'))
		return t('sessionLiveNotice', { session: sessionName(after.name) });
	if (!before || before.id !== after.id) return null;
	if (after.status === 'cancelled' && before.status !== 'cancelled')
		return t('sessionCancelledNotice', { session: sessionName(after.name) });
	const [was, is] = [parseTimestamp(before.start), parseTimestamp(after.start)];
	if (is === null || was === null || is === was || after.status !== 'upcoming') return null;
	const values = { session: sessionName(after.name), count: Math.round(Math.abs(is - was) / 60_000) };
	return is > was ? t('sessionLater', values) : t('sessionEarlier', values);
}
