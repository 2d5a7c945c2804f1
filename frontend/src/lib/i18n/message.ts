/** A text of a catalogue. Where it depends on a number, the value `count` chooses between singular and plural. */
export type Message = string | { readonly one: string; readonly other: string };

export type Catalogue = Readonly<Record<string, Message>>;

/** A catalogue in another language: it has all texts of the first, and no other. */
export type Translation<C extends Catalogue> = { readonly [K in keyof C]: Message };

type Text<M extends Message> = M extends { other: infer Other } ? Other : M;
type NameIn<T> = T extends `${string}{${infer Name}}${infer Rest}` ? Name | NameIn<Rest> : never;

/** The values of a message: one for each `{name}` in it, and `count` where it has a plural. */
export type Values<M extends Message> = {
	[Name in NameIn<Text<M>> | (M extends string ? never : 'count')]: string | number;
};

/** The arguments of a message: none for a message without values. */
export type Arguments<M extends Message> = [keyof Values<M>] extends [never] ? [] : [values: Values<M>];

/** A message with its values. Numbers are written as the locale does; a text is taken as it is. */
export function formatMessage(
	message: Message,
	values: Readonly<Record<string, string | number>>,
	locale: string,
): string {
	const text = typeof message === 'string' ? message : message[pluralOf(values['count'], locale)];
	return text.replace(/\{(\w+)\}/g, (_, name: string) => {
		const value = values[name] ?? '';
		return typeof value === 'number' ? value.toLocaleString(locale) : value;
	});
}

const rules = new Map<string, Intl.PluralRules>();

function pluralOf(count: string | number | undefined, locale: string): 'one' | 'other' {
	let rule = rules.get(locale);
	if (!rule) rules.set(locale, (rule = new Intl.PluralRules(locale)));
	return rule.select(Number(count)) === 'one' ? 'one' : 'other';
}
