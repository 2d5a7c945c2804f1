import { language } from './language.svelte';

const formats = new Map<string, Intl.NumberFormat>();

/** A number with so many digits after the point, as the language on screen writes it: "6.3", "6,3". */
export function decimal(value: number, digits = 1): string {
	const key = `${language.locale} ${digits}`;
	let format = formats.get(key);
	if (!format) {
		const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
		formats.set(key, (format = new Intl.NumberFormat(language.locale, options)));
	}
	return format.format(value);
}
