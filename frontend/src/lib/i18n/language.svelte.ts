import { readStored, writeStored } from '$lib/ui/storage';
import { preferredLanguage } from './preferred-language';
import { formatMessage, type Arguments, type Catalogue, type Translation } from './message';

/** The languages of the page, by their own names. */
export const LANGUAGES = { en: 'English', de: 'Deutsch' } as const;

export type Language = keyof typeof LANGUAGES;

const STORAGE_KEY = 'pitwall:language';
/** The locale of a language that the browser does not ask for. */
const DEFAULT_LOCALES: Record<Language, string> = { en: 'en-GB', de: 'de-DE' };

/** How dates and numbers are written: as the browser wants them in this language. */
export function localeFor(language: Language, requested: readonly string[]): string {
	const isOfLanguage = (tag: string) => tag.toLowerCase().split('-')[0] === language;
	return requested.find(isOfLanguage) ?? DEFAULT_LOCALES[language];
}

/** The languages that the browser asks for; unit tests run without one. */
const requested = typeof navigator === 'undefined' ? [] : (navigator.languages ?? []);

/** Fetches the texts of a language; those of the first language are part of the page. */
type LoadTexts = (language: Language) => Promise<void>;
const catalogues: LoadTexts[] = [];

/** The language of the page: what the viewer chose, else what the browser asks for. */
class LanguageChoice {
	readonly ofBrowser: Language = preferredLanguage(null, requested);
	/** The language that the viewer chose; null for that of the browser. */
	chosen = $state<Language | null>(readStored<Language>(STORAGE_KEY));
	/** The language on screen, whose texts are here. */
	current = $state<Language>('en');
	readonly locale = $derived(localeFor(this.current, requested));

	/** The language that should be on screen. */
	get #wanted(): Language {
		return preferredLanguage(this.chosen, requested);
	}

	/** Brings the language on screen. To be awaited before the first paint, so that no text changes after it. */
	async start(): Promise<void> {
		const language = this.#wanted;
		try {
			await Promise.all(catalogues.map((load) => load(language)));
			// Meanwhile the viewer may have chosen another one.
			if (language === this.#wanted) this.current = language;
		} catch {
			// The texts did not arrive: the page goes on in the language that it has.
		}
		document.documentElement.lang = this.current;
	}

	async choose(language: Language | null): Promise<void> {
		this.chosen = language;
		writeStored(STORAGE_KEY, language);
		await this.start();
	}
}

export const language = new LanguageChoice();

/** The texts of a part of the page: a function that returns a text by its key, in the language on screen. */
export interface Texts<C extends Catalogue> {
	<Key extends keyof C>(key: Key, ...values: Arguments<C[Key]>): string;
	/** Resolves when the texts of the language on screen are here: to be awaited before a part is shown that is loaded later. */
	ready(): Promise<void>;
}

/** Makes the texts of a part of the page of its English catalogue and of where its translations are. */
export function createTexts<const C extends Catalogue>(
	english: C,
	load: Record<Exclude<Language, 'en'>, () => Promise<{ texts: Translation<C> }>>,
): Texts<C> {
	const loaded = new Map<Language, Translation<C>>([['en', english]]);
	const loadTexts: LoadTexts = async (language) => {
		if (language !== 'en' && !loaded.has(language)) loaded.set(language, (await load[language]()).texts);
	};
	catalogues.push(loadTexts);
	const text = <Key extends keyof C>(key: Key, ...[values]: Arguments<C[Key]>): string =>
		formatMessage(
			(loaded.get(language.current) ?? english)[key] ?? english[key],
			(values ?? {}) as Record<string, string | number>,
			language.locale,
		);
	return Object.assign(text, { ready: () => loadTexts(language.current) });
}
