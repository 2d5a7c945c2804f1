import { untrack } from 'svelte';

export interface NoticeAction {
	label: string;
	run: () => void;
}

export interface Notice {
	id: number;
	text: string;
	action: NoticeAction | null;
	/** A newer notice of the same topic takes the place of this one. */
	topic: string;
}

const NOTICE_DURATION_MS = 6_000;
const NOTICES_SHOWN_MAX = 3;

/** Short messages that disappear by themselves; the layout shows them in a polite live region. */
class Notices {
	list = $state.raw<Notice[]>([]);
	/** Whether the viewer points at a notice or has the focus in one: then none disappears. */
	held = false;
	#noticesCreated = 0;

	/** The list is read untracked, so that an effect that adds a notice does not depend on the other notices. */
	add(text: string, action: NoticeAction | null = null, topic = text): void {
		const notice = { id: (this.#noticesCreated += 1), text, action, topic };
		const others = untrack(() => this.list).filter((other) => other.topic !== topic);
		this.list = [...others, notice].slice(-NOTICES_SHOWN_MAX);
		this.#dismissLater(notice.id);
	}

	dismiss(id: number): void {
		this.list = this.list.filter((notice) => notice.id !== id);
	}

	#dismissLater(id: number): void {
		setTimeout(() => (this.held ? this.#dismissLater(id) : this.dismiss(id)), NOTICE_DURATION_MS);
	}
}

export const notices = new Notices();
