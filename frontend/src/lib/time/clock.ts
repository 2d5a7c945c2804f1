/** The Date header counts whole seconds: closer than this is agreement. */
const TOLERANCE = 1_500;

/** The edge's clock as seen from here: this machine's clock plus an offset. */
export class ServerClock {
	offset = 0;

	now(): number {
		return Date.now() + this.offset;
	}

	set(offset: number): void {
		this.offset = Number.isFinite(offset) ? offset : 0;
	}

	/** Learns from a Date header, given when the request left and when the answer came (this machine's clock). */
	observe(date: string | null, sent: number, received: number): void {
		const told = Date.parse(date ?? '');
		if (Number.isNaN(told)) return;
		// Half a second: the header is cut to the second. A slow round trip says little, so it is not believed.
		if (received - sent > 5_000) return;
		const offset = told + 500 - (sent + received) / 2;
		if (Math.abs(offset - this.offset) > TOLERANCE) this.set(offset);
	}
}

export const serverClock = new ServerClock();
