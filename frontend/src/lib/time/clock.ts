/** Differences below this are ignored, because the Date field has a resolution of one second. */
const AGREEMENT_TOLERANCE_MS = 1_500;

/** The edge's clock: this machine's clock plus an offset in milliseconds. */
export class ServerClock {
	offset = 0;

	now(): number {
		return Date.now() + this.offset;
	}

	set(offset: number): void {
		this.offset = Number.isFinite(offset) ? offset : 0;
	}

	/**
	 * Learns the offset from a response's Date field. `sent` and `received` are the times of request and response
	 * (milliseconds since the epoch, this machine's clock).
	 */
	observe(date: string | null, sent: number, received: number): void {
		const serverTime = Date.parse(date ?? '');
		if (Number.isNaN(serverTime)) return;
		// A slow round trip makes the estimate too imprecise.
		if (received - sent > 5_000) return;
		// The Date field is truncated to the second: on average it is half a second early.
		const offset = serverTime + 500 - (sent + received) / 2;
		if (Math.abs(offset - this.offset) > AGREEMENT_TOLERANCE_MS) this.set(offset);
	}
}

export const serverClock = new ServerClock();
