import { expect, test } from 'vitest';
import { describeMapVersion } from './map-version';

test.each([
	[1_795_230_000_123, 'Map version 1795230000123, published 4 s ago'],
	[7, 'Map version 7'],
])('%d', (version, expected) => {
	expect(describeMapVersion(version, 1_795_230_004_123)).toBe(expected);
});
