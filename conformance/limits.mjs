// What players cannot do wherever the stream comes from: a cell in which one of these makes the edge worse does not fail.

/** Names are matched by pattern. Each of these has been seen with a plain file server, without Pitwall. */
const LIMITS = [
	{
		packager: /fMP4/,
		scenario: /^(switch|crash)/,
		player: /^VLC$/,
		says: 'VLC 3.0 ends at every discontinuity in fragmented MP4',
	},
	{
		packager: /fMP4/,
		scenario: /^(switch|crash)/,
		player: /^GStreamer/,
		says: 'GStreamer 1.22 does not move the clock of fragmented MP4 at a discontinuity',
	},
	{
		packager: /fMP4/,
		scenario: /^(switch|failover), other/,
		player: /^(ffmpeg|mpv|Streamlink)/,
		says: 'ffmpeg decodes what follows a new EXT-X-MAP with the parameter sets of the first',
	},
];

/** Why a player does worse in this cell at any origin that joins two sources; undefined where nothing is known. */
export const limitOf = (cell) =>
	LIMITS.find((limit) => ['packager', 'scenario', 'player'].every((kind) => limit[kind].test(cell[kind])))
		?.says;
