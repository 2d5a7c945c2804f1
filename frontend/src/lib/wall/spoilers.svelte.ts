const PARAMETER = 'spoilers';

/** Whether the page hides what tells how a session went: times, how long it still is, states, titles. */
class Spoilers {
	hidden = $state(false);

	/** A link with `spoilers=off` opens a page that hides them. */
	readFrom(query: URLSearchParams): void {
		this.hidden = query.get(PARAMETER) === 'off';
	}

	/** Adds the choice to the query of a wall. */
	addTo(query: string): string {
		if (!this.hidden) return query;
		return `${query || '?'}${query ? '&' : ''}${PARAMETER}=off`;
	}
}

export const spoilers = new Spoilers();
