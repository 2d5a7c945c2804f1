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
	if (to === null) return `${stream.feed} is off: ${label(from)} broke off and there is no other source.`;
	const reason = deadSources.has(`${id} ${from}`) ? `, because ${label(from)} broke off` : '';
	return `${stream.feed} now comes from ${label(to)}${reason}.`;
}

/** A notice of what happened to the session that is on or next; null if nothing did that a viewer has to know. */
export function sessionNotice(before: Session | null, after: EdgeEvents['session']): string | null {
	if (!after) return null;
	if (after.status === 'live' && (before?.id !== after.id || before.status !== 'live'))
		return `${after.name} is live now.`;
	if (!before || before.id !== after.id) return null;
	if (after.status === 'cancelled' && before.status !== 'cancelled') return `${after.name} is cancelled.`;
	const [was, is] = [parseTimestamp(before.start), parseTimestamp(after.start)];
	if (is === null || was === null || is === was || after.status !== 'upcoming') return null;
	const minutes = Math.round(Math.abs(is - was) / 60_000);
	return `${after.name} starts ${minutes} min ${is > was ? 'later' : 'earlier'} than announced.`;
}
