import type { MenuItem } from '$lib/ui/Menu.svelte';
import type { Player } from './player';
import type { View } from './view';

/** The quality menu: picture, then sound and captions where the stream has a choice. Ids read `what:value`. */
export function settingsOf(view: View): MenuItem[] {
	const showing = view.qualities.find(({ level }) => level === view.showing);
	const quality: MenuItem[] = [
		{
			id: 'quality:-1',
			label: 'Auto',
			detail: view.quality < 0 ? showing?.label : '',
			checked: view.quality < 0,
		},
		...view.qualities.map(({ level, label, detail }) => ({
			id: `quality:${level}`,
			label,
			detail: level === view.showing && view.quality < 0 ? `${detail}, now` : detail,
			checked: view.quality === level,
		})),
	];
	const audio: MenuItem[] =
		view.audio.length > 1
			? view.audio.map(({ id, label }) => ({ id: `audio:${id}`, label, checked: id === view.audioTrack }))
			: [];
	const captions: MenuItem[] = view.captions.length
		? [{ id: -1, label: 'Off' }, ...view.captions].map(({ id, label }) => ({
				id: `captions:${id}`,
				label,
				checked: id === view.captionTrack,
			}))
		: [];
	return [...grouped('Quality', quality), ...grouped('Sound', audio), ...grouped('Captions', captions)];
}

export function applySetting(player: Player, id: string): void {
	const [what, value] = id.split(':');
	const number = Number(value);
	if (what === 'quality') player.setQuality(number);
	else if (what === 'audio') player.setAudioTrack(number);
	else if (what === 'captions') player.setCaptionTrack(number);
}

function grouped(group: string, items: MenuItem[]): MenuItem[] {
	return items.map((item) => ({ ...item, group }));
}
