/**
 * The language of the page: what the viewer chose, else the first of the browser's list that the page has, else
 * English. The function uses nothing outside of itself, because the shell runs its text (`build-shell.js`).
 *
 * @param {string | null} chosen
 * @param {readonly string[]} requested
 * @returns {'en' | 'de'}
 */
export function preferredLanguage(chosen, requested) {
	for (const tag of [chosen, ...requested]) {
		const primary = String(tag).toLowerCase().split('-')[0];
		if (primary === 'en' || primary === 'de') return primary;
	}
	return 'en';
}
