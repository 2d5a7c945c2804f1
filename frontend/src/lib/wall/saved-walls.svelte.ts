import { readStored, writeStored } from '$lib/ui/storage';

const NAMED_KEY = 'pitwall:walls';
const LAST_KEY = 'pitwall:wall';

/** Walls as URL queries, stored in this browser: those that the viewer named, and the last one. */
export class SavedWalls {
	/** Name and query of each wall, by name. */
	named = $state(this.#read());

	save(name: string, query: string): void {
		this.#write([...this.named.filter(([other]) => other !== name), [name, query]]);
	}

	remove(name: string): void {
		this.#write(this.named.filter(([other]) => other !== name));
	}

	/** The query of the wall that was on screen last; null if there is none. */
	get last(): string | null {
		return readStored<string>(LAST_KEY);
	}

	set last(query: string) {
		writeStored(LAST_KEY, query);
	}

	#read(): [name: string, query: string][] {
		const stored = readStored<Record<string, string>>(NAMED_KEY) ?? {};
		return Object.entries(stored).sort(([a], [b]) => a.localeCompare(b));
	}

	#write(walls: [name: string, query: string][]): void {
		writeStored(NAMED_KEY, Object.fromEntries(walls));
		this.named = this.#read();
	}
}

export const savedWalls = new SavedWalls();
