const KEEP = 'pitwall:zone';

function browserZone(): string {
	return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
}

function usable(zone: string): boolean {
	try {
		new Intl.DateTimeFormat('en', { timeZone: zone });
		return true;
	} catch {
		return false;
	}
}

function remembered(): string | null {
	try {
		const kept = localStorage.getItem(KEEP);
		return kept && usable(kept) ? kept : null;
	} catch {
		return null;
	}
}

/** The zone times are shown in: the viewer's choice, else the browser's. */
class Zone {
	readonly local = browserZone();
	chosen = $state<string | null>(remembered());
	name = $derived(this.chosen ?? this.local);

	choose(zone: string | null): void {
		this.chosen = zone && usable(zone) ? zone : null;
		try {
			if (this.chosen) localStorage.setItem(KEEP, this.chosen);
			else localStorage.removeItem(KEEP);
		} catch {
			// Not remembered, still applied.
		}
	}
}

export const zone = new Zone();

/** Every zone the browser knows, by region, for a picker. */
export function zonesByRegion(): Map<string, string[]> {
	const regions = new Map<string, string[]>();
	for (const name of Intl.supportedValuesOf('timeZone')) {
		const region = name.includes('/') ? name.slice(0, name.indexOf('/')) : 'Other';
		regions.set(region, [...(regions.get(region) ?? []), name]);
	}
	return regions;
}

/** "New York" for "America/New_York". */
export function placeOf(zone: string): string {
	return zone
		.slice(zone.indexOf('/') + 1)
		.replaceAll('_', ' ')
		.replaceAll('/', ', ');
}
