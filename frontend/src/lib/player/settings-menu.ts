import { t } from '$lib/i18n/texts';
import type { MenuItem } from '$lib/ui/Menu.svelte';
import type { Player } from './player';
import type { PlayerView } from './player-view';

/**
 * The items of the quality menu: video levels, then audio tracks and captions where the stream has a choice. An
 * item's id is `setting:value`.
 */
export function settingsMenuItems(view: PlayerView): MenuItem[] {
	const currentQuality = view.qualities.find(({ level }) => level === view.currentLevel);
	const qualityItems: MenuItem[] = [
		{
			id: 'quality:-1',
			label: t('auto'),
			detail: view.selectedLevel < 0 ? currentQuality?.label : '',
			checked: view.selectedLevel < 0,
		},
		...view.qualities.map(({ level, label, detail }) => ({
			id: `quality:${level}`,
			label,
			detail: level === view.currentLevel && view.selectedLevel < 0 ? t('nowPlaying', { detail }) : detail,
			checked: view.selectedLevel === level,
		})),
	];
	const audioItems: MenuItem[] =
		view.audioTracks.length > 1
			? view.audioTracks.map(({ id, label }) => ({
					id: `audio:${id}`,
					label,
					checked: id === view.audioTrack,
				}))
			: [];
	const captionItems: MenuItem[] = view.captionTracks.length
		? [{ id: -1, label: t('off') }, ...view.captionTracks].map(({ id, label }) => ({
				id: `captions:${id}`,
				label,
				checked: id === view.captionTrack,
			}))
		: [];
	return [
		...withGroup(t('quality'), qualityItems),
		...withGroup(t('sound'), audioItems),
		...withGroup(t('captions'), captionItems),
	];
}

export function applySetting(player: Player, id: string): void {
	const [setting, value] = id.split(':');
	const number = Number(value);
	if (setting === 'quality') player.setQuality(number);
	else if (setting === 'audio') player.setAudioTrack(number);
	else if (setting === 'captions') player.setCaptionTrack(number);
}

function withGroup(group: string, items: MenuItem[]): MenuItem[] {
	return items.map((item) => ({ ...item, group }));
}
