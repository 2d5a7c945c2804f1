/** The JSON value under a key of localStorage; null if there is none, it is damaged, or storage is forbidden. */
export function readStored<T>(key: string): T | null {
	try {
		return JSON.parse(localStorage.getItem(key) ?? 'null') as T | null;
	} catch {
		return null;
	}
}

/** Stores a value as JSON; null removes it. Where storage is forbidden, the value is lost with the page. */
export function writeStored(key: string, value: unknown): void {
	try {
		if (value === null) localStorage.removeItem(key);
		else localStorage.setItem(key, JSON.stringify(value));
	} catch {
		// Storage is forbidden or full: the page works without it.
	}
}
