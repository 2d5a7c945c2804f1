import { expect, test } from 'vitest';
import { bufferingReason, type BufferingFacts } from './buffering-reason';

const fine: BufferingFacts = {
	...{ outage: null, bandwidth: 9e6, bitrate: 3.1e6, unplayed: 6 },
	...{ originSeconds: 0.05, playlistAge: 1, targetDuration: 2 },
};

test.each<[Partial<BufferingFacts>, string]>([
	[{ outage: 'You are offline', bandwidth: 1 }, 'You are offline.'],
	[{ unplayed: 0.2, playlistAge: 6.2 }, 'The source has sent nothing new for 6 s.'],
	[{ originSeconds: 2.34 }, 'The source is slow: it took 2.3 s to answer.'],
	[{ bandwidth: 1.2e6 }, 'Your connection gives 1.2 Mb/s, and this picture needs 3.1.'],
	[{ unplayed: 0.2 }, 'It waits for the next piece, at the very end of what there is.'],
	[{}, 'The next piece is on its way.'],
	[{ bandwidth: null, bitrate: null, originSeconds: null }, 'The next piece is on its way.'],
])('%j: %s', (facts, sentence) => expect(bufferingReason({ ...fine, ...facts })).toBe(sentence));
