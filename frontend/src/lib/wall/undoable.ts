import { t } from '$lib/i18n/texts';
import { notices } from '$lib/ui/notices.svelte';
import type { WallModel } from './wall-model.svelte';

/** Changes the wall, says so, and offers to undo it. A later change takes the offer's place. */
export function changeWithUndo(wall: WallModel, text: string, change: () => void): void {
	const before = wall.toQuery();
	change();
	notices.add(text, { label: t('undo'), run: () => wall.restore(before) }, 'wall');
}
