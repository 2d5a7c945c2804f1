import type { Player } from '$lib/player/player';
import type { Tile, Wall } from './wall.svelte';

/** What a key may act on. */
export interface Reach {
	wall: Wall;
	/** The tile under the keyboard's focus or the pointer, else the one that is heard. */
	tile: Tile;
	player: Player;
	toggleStats(tile: Tile): void;
	fullscreen(tile: Tile | null): void;
	toggleHelp(): void;
}

interface Shortcut {
	keys: string[];
	shown: string;
	does: string;
	run(reach: Reach): void;
}

/** Every shortcut: the handler and the help read the same list. */
export const shortcuts: Shortcut[] = [
	{ keys: [' ', 'k'], shown: 'Space, K', does: 'Play or pause', run: ({ player }) => player.toggle() },
	{
		keys: ['m'],
		shown: 'M',
		does: 'Mute or unmute',
		run: ({ player, wall, tile }) => toggleMute(player, wall, tile),
	},
	{
		keys: ['ArrowUp'],
		shown: '↑',
		does: 'Louder',
		run: ({ player }) => player.setVolume(player.video.volume + 0.1),
	},
	{
		keys: ['ArrowDown'],
		shown: '↓',
		does: 'Quieter',
		run: ({ player }) => player.setVolume(player.video.volume - 0.1),
	},
	{ keys: ['l'], shown: 'L', does: 'Go to the live edge', run: ({ player }) => player.goLive() },
	{ keys: ['a'], shown: 'A', does: 'Hear the next tile', run: ({ wall }) => wall.soloNext() },
	{ keys: ['f'], shown: 'F', does: 'Full screen', run: ({ fullscreen, tile }) => fullscreen(tile) },
	{
		keys: ['F'],
		shown: 'Shift F',
		does: 'Full screen, every tile',
		run: ({ fullscreen }) => fullscreen(null),
	},
	{ keys: ['p'], shown: 'P', does: 'Picture in picture', run: ({ player }) => void togglePip(player.video) },
	{ keys: ['i'], shown: 'I', does: 'Stream statistics', run: ({ toggleStats, tile }) => toggleStats(tile) },
	{ keys: ['?'], shown: '?', does: 'This help', run: ({ toggleHelp }) => toggleHelp() },
];

/** The shortcut a key press means, if it is one: not while typing, not in a menu, not on a pressed button. */
export function shortcutFor(event: KeyboardEvent): Shortcut | null {
	if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return null;
	const on = event.target instanceof Element ? event.target : null;
	if (on?.closest('input:not([type=range]), select, textarea, [role=menu], dialog')) return null;
	if (on?.closest('input') && event.key.startsWith('Arrow')) return null;
	if (event.key === ' ' && on?.closest('button, a, summary, input')) return null;
	return shortcuts.find(({ keys }) => keys.includes(event.key)) ?? null;
}

/** Unmuting a tile that is not heard means: hear this one. */
export function toggleMute(player: Player, wall: Wall, tile: Tile): void {
	if (wall.audible?.id !== tile.id) wall.solo(tile.id);
	else player.setMuted(!player.video.muted);
}

export async function togglePip(video: HTMLVideoElement): Promise<void> {
	try {
		if (document.pictureInPictureElement === video) await document.exitPictureInPicture();
		else await video.requestPictureInPicture();
	} catch {
		// Not yet playing, or not allowed here: nothing to show for it.
	}
}
