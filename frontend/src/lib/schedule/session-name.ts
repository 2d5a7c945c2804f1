import { en } from '$lib/i18n/en';
import { t } from '$lib/i18n/texts';

/** The names that schedules give to sessions, where they are other words in other languages. */
const TRANSLATED = ['practice1', 'practice2', 'practice3', 'race'] as const;

/** The name of a session in the language on screen; a name that is not one of the usual ones stays as it is. */
export function sessionName(name: string): string {
	const key = TRANSLATED.find((candidate) => en[candidate] === name);
	return key ? t(key) : name;
}
