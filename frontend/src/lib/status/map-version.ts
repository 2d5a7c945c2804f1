import { t } from '$lib/i18n/texts';
import { formatAge } from '$lib/time/duration';

/** Versions above this are the time of publication (milliseconds since the epoch); a clock that was wrong made lower ones. */
const MIN_TIME = 1e12;

/** "Map version 1795230000123, published 4 s ago". */
export function describeMapVersion(version: number, now: number): string {
	const name = String(version);
	if (version <= MIN_TIME) return t('mapVersion', { version: name });
	return t('mapVersionAge', { version: name, age: formatAge(version, now) });
}
