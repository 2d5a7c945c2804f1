import { expect, test } from 'vitest';
import { texts as de } from './de';
import { en } from './en';
import type { Catalogue, Message } from './message';

const translations: Record<string, Catalogue> = { de };

const forms = (message: Message) => (typeof message === 'string' ? { other: message } : message);

/** The values of a text in order of their names. A plural may leave out `count`: "one tile". */
function values(text: string, isPlural: boolean): string[] {
	const names = new Set([...text.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name));
	if (isPlural) names.delete('count');
	return [...names].sort();
}

test.each(Object.keys(translations))('%s has the texts of the English catalogue', (language) => {
	expect(Object.keys(translations[language] ?? {}).sort()).toEqual(Object.keys(en).sort());
});

test.each(Object.keys(translations))('%s has the plurals and values of the English texts', (language) => {
	const differences = Object.entries<Message>(en).filter(([key, english]) => {
		const message = translations[language]?.[key] ?? '';
		const isPlural = typeof english !== 'string';
		const expected = values(forms(english).other, isPlural).join();
		return (
			isPlural !== (typeof message !== 'string') ||
			Object.values(forms(message)).some(
				(text: string) => !text.trim() || values(text, isPlural).join() !== expected,
			)
		);
	});
	expect(differences).toEqual([]);
});
