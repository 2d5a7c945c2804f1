import { language } from '$lib/i18n/language.svelte';
import { t } from '$lib/i18n/texts';

/** "42 s", "3:05" or "1:02:05": a distance in time as a player shows it. */
export function distanceText(seconds: number): string {
	const whole = Math.max(0, Math.round(seconds));
	if (whole < 60) return `${whole} s`;
	const parts = [Math.floor(whole / 3_600), Math.floor(whole / 60) % 60, whole % 60];
	const [hours, minutes, rest] = parts.map((part) => String(part).padStart(2, '0'));
	return whole < 3_600 ? `${Number(minutes)}:${rest}` : `${Number(hours)}:${minutes}:${rest}`;
}

/** The same in words, as a screen reader says it. */
export function distanceInWords(seconds: number): string {
	const whole = Math.max(0, Math.round(seconds));
	const minutes = Math.floor(whole / 60);
	const parts = [...(minutes ? [unit(minutes, 'minute')] : []), unit(whole % 60, 'second')];
	return t('behindLive', { distance: parts.join(' ') });
}

function unit(value: number, name: 'minute' | 'second'): string {
	const options = { style: 'unit', unit: name, unitDisplay: 'long' } as const;
	return value.toLocaleString(language.locale, options);
}
