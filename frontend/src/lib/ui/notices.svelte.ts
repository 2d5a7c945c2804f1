import { untrack } from 'svelte';

export interface Notice {
	id: number;
	text: string;
}

const SHOWN_FOR = 6_000;

/** Short messages that come and go; the layout shows them in a polite live region. */
class Notices {
	list = $state<Notice[]>([]);
	#made = 0;

	/** An effect may say something without depending on what else is said. */
	say(text: string): void {
		const notice = { id: (this.#made += 1), text };
		this.list = [...untrack(() => this.list).filter((other) => other.text !== text), notice].slice(-3);
		setTimeout(() => this.dismiss(notice.id), SHOWN_FOR);
	}

	dismiss(id: number): void {
		this.list = this.list.filter((notice) => notice.id !== id);
	}
}

export const notices = new Notices();
