import { expect, test } from 'vitest';
import { formatMessage, type Message } from './message';

const TILES = { one: 'One tile', other: '{count} tiles' };

test.each<[Message, Record<string, string | number>, string, string]>([
	['Pause', {}, 'en-GB', 'Pause'],
	['Add {feed}', { feed: 'Onboard 44' }, 'en-GB', 'Add Onboard 44'],
	['{a} and {b}, {a}', { a: 'x', b: 'y' }, 'en-GB', 'x and y, x'],
	[TILES, { count: 1 }, 'en-GB', 'One tile'],
	[TILES, { count: 0 }, 'de-DE', '0 tiles'],
	[TILES, { count: 1234 }, 'de-DE', '1.234 tiles'],
	['{feed}', { feed: '{count} $& <b>' }, 'en-GB', '{count} $& <b>'],
])('%j with %j in %s', (message, values, locale, text) => {
	expect(formatMessage(message, values, locale)).toBe(text);
});
