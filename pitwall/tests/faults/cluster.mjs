// Processes that share a Redis: a control plane and edges, each with a state folder of its own.
import { config } from './bed.mjs';
import { sourceSection, startSource } from './source.mjs';

/**
 * Starts Redis, one control plane and `edges` edges on one source; resolves when all edges have the stream.
 * `via` is the port under which they reach Redis, where it is not its own.
 */
export async function startCluster(bed, options = {}) {
	const { edges: count = 1, via = (port) => port, more = '' } = options;
	const source = options.source ?? (await startSource(bed, options.live));
	const redis = await bed.redis();
	const store = await via(redis.port);
	const text = config({
		store,
		source: options.sections ?? sourceSection(source),
		more,
	});
	const control = await bed.started(text, {
		role: 'control-plane',
		name: 'control-plane',
	});
	const edges = [];
	for (let at = 1; at <= count; at++)
		edges.push(
			await bed.started(config({ store, more: options.edgeMore }), {
				role: 'proxy',
				name: `edge-${at}`,
				control: control.control,
				...options.edge,
			}),
		);
	for (const edge of edges) await edge.untilHealthy(options.streams);
	return { source, redis, control, edges, edge: edges[0], text };
}
