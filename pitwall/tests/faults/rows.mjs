// All rows of the fault matrix.
//
// A row is `{number, name, promise, fast, faultOf, timeout, run}`: `number` is its place in the first matrix and is left
// out of a later row, `fast` rows run in make test, `faultOf` says what fails (`control plane`, `store`, `clock`) where
// viewers must not see a single 5xx, and `run(bed, measurements, {isFast})` sets up, makes the fault, and measures.
import { BAD_INPUT_ROWS } from './rows/bad-input.mjs';
import { CLIENT_ROWS } from './rows/clients.mjs';
import { CONTROL_ROWS } from './rows/control.mjs';
import { DISK_ROWS } from './rows/disk.mjs';
import { FRAMING_ROWS } from './rows/framing.mjs';
import { HTTP2_ROWS } from './rows/http2.mjs';
import { PROCESS_ROWS } from './rows/process.mjs';
import { STORE_ROWS } from './rows/store.mjs';
import { UPGRADE_ROWS } from './rows/upgrade.mjs';
import { UPSTREAM_ROWS } from './rows/upstream.mjs';

const NUMBERED = [
	...UPSTREAM_ROWS,
	...CONTROL_ROWS,
	...STORE_ROWS,
	...PROCESS_ROWS,
	...UPGRADE_ROWS,
	...CLIENT_ROWS,
	...DISK_ROWS,
];

export const ROWS = [
	...NUMBERED.filter(({ number }) => number).sort((a, b) => a.number - b.number),
	...NUMBERED.filter(({ number }) => !number),
	...FRAMING_ROWS,
	...HTTP2_ROWS,
	...BAD_INPUT_ROWS,
];
