import { untrack } from 'svelte';

export interface Notice {
	id: number;
	text: string;
}

const NOTICE_DURATION_MS = 6_000;

/** Short messages that disappear by themselves; the layout shows them in a polite live region. */
class Notices {
	list = $state<Notice[]>([]);
	#noticesCreated = 0;

	/** The list is read untracked, so that an effect that adds a notice does not depend on the other notices. */
	add(text: string): void {
		const notice = { id: (this.#noticesCreated += 1), text };
		this.list = [...untrack(() => this.list).filter((other) => other.text !== text), notice].slice(-3);
		setTimeout(() => this.dismiss(notice.id), NOTICE_DURATION_MS);
	}

	dismiss(id: number): void {
		this.list = this.list.filter((notice) => notice.id !== id);
	}
}

export const notices = new Notices();
