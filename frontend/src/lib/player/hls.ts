/** hls.js and the address of the file that holds it, which is the script of its worker too (see `hls-source.js`). */
export { default } from 'hls.js';

/**
 * The worker is a file of this origin: a worker from a blob would need `worker-src blob:` in the
 * Content-Security-Policy.
 */
export const workerPath = import.meta.url;
