import { expect, test } from 'vitest';
import { distanceInWords, distanceText } from './time-text';

test.each([
	[-1, '0 s', '0 seconds behind live'],
	[0.6, '1 s', '1 second behind live'],
	[42, '42 s', '42 seconds behind live'],
	[185, '3:05', '3 minutes 5 seconds behind live'],
	[61, '1:01', '1 minute 1 second behind live'],
	[3_725, '1:02:05', '62 minutes 5 seconds behind live'],
])('%f s', (seconds, text, words) => {
	expect(distanceText(seconds)).toBe(text);
	expect(distanceInWords(seconds)).toBe(words);
});
