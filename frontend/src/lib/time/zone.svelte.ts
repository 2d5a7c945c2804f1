const STORAGE_KEY = 'pitwall:zone';

function browserZone(): string {
	return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
}

function isValidZone(zone: string): boolean {
	try {
		new Intl.DateTimeFormat('en', { timeZone: zone });
		return true;
	} catch {
		return false;
	}
}

function storedZone(): string | null {
	try {
		const stored = localStorage.getItem(STORAGE_KEY);
		return stored && isValidZone(stored) ? stored : null;
	} catch {
		return null;
	}
}

/** The time zone in which times are shown: the viewer's choice, else the browser's zone. */
class Zone {
	readonly local = browserZone();
	chosen = $state<string | null>(storedZone());
	name = $derived(this.chosen ?? this.local);

	choose(zone: string | null): void {
		this.chosen = zone && isValidZone(zone) ? zone : null;
		try {
			if (this.chosen) localStorage.setItem(STORAGE_KEY, this.chosen);
			else localStorage.removeItem(STORAGE_KEY);
		} catch {
			// Storage is forbidden: the choice holds until the page is closed.
		}
	}
}

export const zone = new Zone();

/** Every time zone that the browser knows, grouped by region; those without one have the region "". */
export function zonesByRegion(): Map<string, string[]> {
	const regions = new Map<string, string[]>();
	for (const name of Intl.supportedValuesOf('timeZone')) {
		const region = name.includes('/') ? name.slice(0, name.indexOf('/')) : '';
		regions.set(region, [...(regions.get(region) ?? []), name]);
	}
	return regions;
}

/** The city of an IANA zone: "New York" for "America/New_York". */
export function zoneCity(zone: string): string {
	return zone
		.slice(zone.indexOf('/') + 1)
		.replaceAll('_', ' ')
		.replaceAll('/', ', ');
}
