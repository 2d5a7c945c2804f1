import { t } from '$lib/i18n/texts';
import type { Player } from '$lib/player/player';
import { signedSeconds } from '$lib/sync/describe-sync';
import { stepInTime } from '$lib/sync/step-in-time';
import type { WallSync } from '$lib/sync/wall-sync.svelte';
import { notices } from '$lib/ui/notices.svelte';
import { LAYOUTS, LAYOUT_NAMES, type Layout } from './layout';
import type { WallTile, WallModel } from './wall-model.svelte';

/** What a keyboard shortcut may act on. */
export interface ShortcutContext {
	event: Pick<KeyboardEvent, 'code' | 'key'>;
	wall: WallModel;
	/** The focused tile, else the one under the pointer, else the audible one. */
	tile: WallTile;
	player: Player;
	sync: WallSync;
	sessionStart: number | null;
	/** The name of the tile's stream. */
	feed: string;
	chooseLayout(layout: Layout): void;
	toggleStats(tile: WallTile): void;
	toggleFullscreen(tile: WallTile | null): void;
	toggleHelp(): void;
}

interface Shortcut {
	/** Values of `KeyboardEvent.key`; digits and arrows with Shift are named by their code: `Shift+Digit1`. */
	keys: string[];
	keyLabel(): string;
	description(): string;
	run(context: ShortcutContext): void;
}

const DIGITS = ['1', '2', '3', '4', '5', '6', '7', '8', '9'];

/** All keyboard shortcuts: the key handler and `ShortcutHelp` read this one list. */
export const shortcuts: Shortcut[] = [
	{
		keys: [' ', 'k'],
		keyLabel: () => `${t('keySpace')}, K`,
		description: () => t('playOrPause'),
		run: ({ sync, tile }) => sync.togglePause(tile.id),
	},
	{
		keys: ['m'],
		keyLabel: () => 'M',
		description: () => t('muteOrUnmute'),
		run: ({ player, wall, tile }) => {
			const wasHeard = wall.audible?.id === tile.id;
			toggleMute(player, wall, tile);
			if (wasHeard) notices.add(player.video.muted ? t('soundOff') : t('soundOn'), null, 'volume');
		},
	},
	{
		keys: ['ArrowUp'],
		keyLabel: () => '↑',
		description: () => t('louder'),
		run: ({ player }) => changeVolume(player, 0.1),
	},
	{
		keys: ['ArrowDown'],
		keyLabel: () => '↓',
		description: () => t('quieter'),
		run: ({ player }) => changeVolume(player, -0.1),
	},
	{
		keys: ['ArrowLeft', 'ArrowRight'],
		keyLabel: () => '← →',
		description: () => t('tenSeconds'),
		run: ({ sync, event }) => step(sync, event.key === 'ArrowLeft' ? -10 : 10),
	},
	{
		keys: ['Shift+ArrowLeft', 'Shift+ArrowRight'],
		keyLabel: () => `${t('keyShift')} ← →`,
		description: () => t('oneMinute'),
		run: ({ sync, event }) => step(sync, event.key === 'ArrowLeft' ? -60 : 60),
	},
	{
		keys: [',', '.'],
		keyLabel: () => ', .',
		description: () => t('oneFrame'),
		run: ({ sync, event }) => sync.stepFrame(event.key === ',' ? -1 : 1),
	},
	{
		keys: ['Home'],
		keyLabel: () => t('keyHome'),
		description: () => t('fromStartKey'),
		run: ({ sync, sessionStart }) => sync.seekTo(sessionStart ?? 0),
	},
	{ keys: ['l'], keyLabel: () => 'L', description: () => t('goToLive'), run: ({ sync }) => sync.goLive() },
	{
		keys: ['a'],
		keyLabel: () => 'A',
		description: () => t('hearNextTile'),
		run: ({ wall }) => wall.soloNextTile(),
	},
	{
		keys: DIGITS.map((digit) => digit),
		keyLabel: () => t('keyTo', { first: 1, last: 9 }),
		description: () => t('hearThisTile'),
		run: ({ wall, event }) => withTileOf(event, wall, ({ id }) => wall.solo(id)),
	},
	{
		keys: DIGITS.map((digit) => `Shift+Digit${digit}`),
		keyLabel: () => `${t('keyShift')} ${t('keyTo', { first: 1, last: 9 })}`,
		description: () => t('moveToFirst'),
		run: ({ wall, event }) => withTileOf(event, wall, ({ id }) => wall.makeFirst(id)),
	},
	{
		keys: ['w'],
		keyLabel: () => 'W',
		description: () => t('nextLayout'),
		run: ({ wall, chooseLayout }) => chooseLayout(nextLayout(wall)),
	},
	{
		keys: ['f'],
		keyLabel: () => 'F',
		description: () => t('fullScreen'),
		run: ({ toggleFullscreen, tile }) => toggleFullscreen(tile),
	},
	{
		keys: ['F'],
		keyLabel: () => `${t('keyShift')} F`,
		description: () => t('fullScreenAll'),
		run: ({ toggleFullscreen }) => toggleFullscreen(null),
	},
	{
		keys: ['p'],
		keyLabel: () => 'P',
		description: () => t('pictureInPicture'),
		run: ({ player }) => void togglePip(player.video),
	},
	{
		keys: ['i'],
		keyLabel: () => 'I',
		description: () => t('streamStatistics'),
		run: ({ toggleStats, tile }) => toggleStats(tile),
	},
	{
		keys: ['[', ']', '{', '}'],
		keyLabel: () => '[ ] { }',
		description: () => t('nudgeTile'),
		run: (context) => nudge(context, { '[': -0.1, ']': 0.1, '{': -1, '}': 1 }[context.event.key] ?? 0),
	},
	{
		keys: ['y'],
		keyLabel: () => 'Y',
		description: () => t('momentKey'),
		run: ({ sync, tile, feed }) => markMoment(sync, tile, feed),
	},
	{
		keys: ['t'],
		keyLabel: () => 'T',
		description: () => t('oneClock'),
		run: ({ sync }) => {
			sync.together = !sync.together;
			notices.add(sync.together ? t('onOneClock') : t('onTheirOwn'), null, 'clock');
		},
	},
	{
		keys: ['?'],
		keyLabel: () => '?',
		description: () => t('thisHelp'),
		run: ({ toggleHelp }) => toggleHelp(),
	},
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
	const isShifted = event.shiftKey && /^(Digit|Arrow)/.test(event.code);
	const name = isShifted ? `Shift+${event.code}` : event.key;
	return shortcuts.find(({ keys }) => keys.includes(name)) ?? null;
}

function changeVolume(player: Player, by: number): void {
	player.setVolume(player.video.volume + by);
	notices.add(t('volumeIs', { count: Math.round(player.video.volume * 100) }), null, 'volume');
}

function step(sync: WallSync, seconds: number): void {
	stepInTime(sync, seconds, { by: 'key' });
}

function nudge({ wall, tile, feed }: ShortcutContext, laterSeconds: number): void {
	wall.setOffset(tile.id, tile.offset + laterSeconds);
	notices.add(t('nudged', { feed, offset: signedSeconds(tile.offset) }), null, 'offset');
}

/** Says what to do next: the second press of a pair sets an offset. */
export function markMoment(sync: WallSync, tile: WallTile, feed: string): void {
	const isSet = sync.markMoment(tile.id);
	notices.add(
		isSet ? t('momentSet', { feed, offset: signedSeconds(tile.offset) }) : t('momentFirst', { feed }),
		null,
		'offset',
	);
}

/** The tile whose number is on the pressed key. */
function withTileOf({ code }: Pick<KeyboardEvent, 'code'>, wall: WallModel, run: (tile: WallTile) => void) {
	const tile = wall.tiles[Number(/\d$/.exec(code)?.[0]) - 1];
	if (tile) run(tile);
}

/** The next layout that holds all tiles of the wall; after the last one the first. */
function nextLayout({ layout, tiles }: WallModel): Layout {
	const fitting = LAYOUT_NAMES.filter((name) => LAYOUTS[name].places >= tiles.length);
	return fitting[(fitting.indexOf(layout) + 1) % fitting.length] ?? layout;
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
