import { t } from '$lib/i18n/texts';
import { notices } from '$lib/ui/notices.svelte';

/** Says by how much a key or a finger moved the wall in time. */
export function noticeStep(seconds: number): void {
	const values = { seconds: Math.abs(seconds) };
	notices.add(seconds < 0 ? t('stepBack', values) : t('stepOn', values), null, 'step');
}
