import { expect, test } from 'vitest';
import { texts as controlDe } from '$lib/control/de';
import { en as control } from '$lib/control/en';
import { texts as de } from './de';
import { en as page } from './en';
import type { Catalogue, Message } from './message';

/** Each catalogue in English and in another language. */
const translations: [string, Catalogue, Catalogue][] = [
	['the page in German', page, de],
	['the control page in German', control, controlDe],
];

const forms = (message: Message) => (typeof message === 'string' ? { other: message } : message);

/** The values of a text in order of their names. A plural may leave out `count`: "one tile". */
function values(text: string, isPlural: boolean): string[] {
	const names = new Set([...text.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name));
	if (isPlural) names.delete('count');
	return [...names].sort();
}

test.each(translations)('%s has the texts of the English catalogue', (_, english, translation) => {
	expect(Object.keys(translation).sort()).toEqual(Object.keys(english).sort());
});

test.each(translations)('%s has the plurals and values of the English texts', (_, all, translation) => {
	const differences = Object.entries<Message>(all).filter(([key, english]) => {
		const message = translation[key] ?? '';
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
