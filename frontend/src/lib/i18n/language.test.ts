import { expect, test, vi } from 'vitest';
import { decimal } from './number';
import { language, localeFor } from './language.svelte';
import { preferredLanguage } from './preferred-language';
import { t } from './texts';

test.each([
	[['de-AT', 'en'], 'de', 'de-AT'],
	[['fr-FR', 'de', 'en'], 'de', 'de'],
	[['en-US', 'de'], 'en', 'en-US'],
	[['fr-FR'], 'en', 'en-GB'],
	[['den-XX'], 'en', 'en-GB'],
	[[], 'en', 'en-GB'],
] as const)('a browser that asks for %j gets %s, with dates as in %s', (requested, expected, locale) => {
	expect(preferredLanguage(null, requested)).toBe(expected);
	expect(localeFor(preferredLanguage(null, requested), requested)).toBe(locale);
});

test('a choice comes first, unless it is no language of the page', () => {
	expect(preferredLanguage('de', ['en'])).toBe('de');
	expect(preferredLanguage('tlh', ['de'])).toBe('de');
});

test('a chosen language is on screen once its texts are here, also in numbers and in the document', async () => {
	const documentElement = { lang: 'en' };
	vi.stubGlobal('document', { documentElement });
	expect(t('play')).toBe('Play');
	const chosen = language.choose('de');
	expect(t('play')).toBe('Play');
	await chosen;
	expect(t('play')).toBe('Abspielen');
	expect(t('tilesTakenOff', { count: 1 })).toMatch(/^Eine Kachel/);
	expect(decimal(6.25)).toBe('6,3');
	expect(documentElement.lang).toBe('de');
	await language.choose('en');
	expect([t('play'), documentElement.lang]).toEqual(['Play', 'en']);
});
