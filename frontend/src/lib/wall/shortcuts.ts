import type { Player } from '$lib/player/player';
import type { WallTile, WallModel } from './wall-model.svelte';

/** What a keyboard shortcut may act on. */
export interface ShortcutContext {
	wall: WallModel;
	/** The focused tile, else the one under the pointer, else the audible one. */
	tile: WallTile;
	player: Player;
	toggleStats(tile: WallTile): void;
	toggleFullscreen(tile: WallTile | null): void;
	toggleHelp(): void;
}

interface Shortcut {
	keys: string[];
	keyLabel: string;
	description: string;
	run(context: ShortcutContext): void;
}

/** All keyboard shortcuts: the key handler and `ShortcutHelp` read this one list. */
export const shortcuts: Shortcut[] = [
	{
		keys: [' ', 'k'],
		keyLabel: 'Space, K',
		description: 'Play or pause',
		run: ({ player }) => player.toggle(),
	},
	{
		keys: ['m'],
		keyLabel: 'M',
		description: 'Mute or unmute',
		run: ({ player, wall, tile }) => toggleMute(player, wall, tile),
	},
	{
		keys: ['ArrowUp'],
		keyLabel: '↑',
		description: 'Louder',
		run: ({ player }) => player.setVolume(player.video.volume + 0.1),
	},
	{
		keys: ['ArrowDown'],
		keyLabel: '↓',
		description: 'Quieter',
		run: ({ player }) => player.setVolume(player.video.volume - 0.1),
	},
	{ keys: ['l'], keyLabel: 'L', description: 'Go to the live edge', run: ({ player }) => player.goLive() },
	{ keys: ['a'], keyLabel: 'A', description: 'Hear the next tile', run: ({ wall }) => wall.soloNextTile() },
	{
		keys: ['f'],
		keyLabel: 'F',
		description: 'Full screen',
		run: ({ toggleFullscreen, tile }) => toggleFullscreen(tile),
	},
	{
		keys: ['F'],
		keyLabel: 'Shift F',
		description: 'Full screen, every tile',
		run: ({ toggleFullscreen }) => toggleFullscreen(null),
	},
	{
		keys: ['p'],
		keyLabel: 'P',
		description: 'Picture in picture',
		run: ({ player }) => void togglePip(player.video),
	},
	{
		keys: ['i'],
		keyLabel: 'I',
		description: 'Stream statistics',
		run: ({ toggleStats, tile }) => toggleStats(tile),
	},
	{ keys: ['?'], keyLabel: '?', description: 'This help', run: ({ toggleHelp }) => toggleHelp() },
];

/**
 * The shortcut of a key press, or null. Keys that the focused element handles itself are no shortcuts: any key in
 * text fields, selects, menus and dialogs, arrows on a slider, and the space bar on buttons and links.
 */
export function shortcutFor(event: KeyboardEvent): Shortcut | null {
	if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return null;
	const target = event.target instanceof Element ? event.target : null;
	if (target?.closest('input:not([type=range]), select, textarea, [role=menu], dialog')) return null;
	if (target?.closest('input') && event.key.startsWith('Arrow')) return null;
	if (event.key === ' ' && target?.closest('button, a, summary, input')) return null;
	return shortcuts.find(({ keys }) => keys.includes(event.key)) ?? null;
}

/** Toggles the sound of the audible tile; any other tile becomes the audible one. */
export function toggleMute(player: Player, wall: WallModel, tile: WallTile): void {
	if (wall.audible?.id !== tile.id) wall.solo(tile.id);
	else player.setMuted(!player.video.muted);
}

export async function togglePip(video: HTMLVideoElement): Promise<void> {
	try {
		if (document.pictureInPictureElement === video) await document.exitPictureInPicture();
		else await video.requestPictureInPicture();
	} catch {
		// The video has not loaded yet, or the browser forbids picture-in-picture: the page stays as it was.
	}
}
