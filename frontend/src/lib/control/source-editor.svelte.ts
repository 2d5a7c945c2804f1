import type { CheckedSource, SourceFile, Trial, TrialResult } from './answers';
import type { CommandOptions, CommandPath } from './command';
import {
	emptyForm,
	formOfSettings,
	newFileDraft,
	patchBetween,
	type SourceDraft,
	type SourceForm,
} from './source-form';

export type SendCommand = <T>(path: CommandPath, options?: CommandOptions) => Promise<T>;

const TRIAL_POLL_MS = 400;

/** One source file that is edited, as a form or as text: checked, tried and saved through `send`. */
export class SourceEditor {
	form = $state<SourceForm>(emptyForm());
	/** The text that is edited; null while the form is. */
	text = $state<string | null>(null);
	result = $state.raw<TrialResult | null>(null);
	warnings = $state.raw<string[]>([]);

	readonly #send: SendCommand;
	/** As it was read; null for a new file. */
	#stored = $state.raw<SourceFile | null>(null);
	#storedForm = emptyForm();
	/** The text that the form changes, when a text was edited before; null for the stored one. */
	#baseText: string | null = null;
	#baseForm = emptyForm();
	/** The draft that was tried, as JSON. */
	#tried = $state<string | null>(null);

	constructor(send: SendCommand, stored: SourceFile | null) {
		this.#send = send;
		if (stored) this.#take(stored);
	}

	get isNew(): boolean {
		return this.#stored === null;
	}

	get file(): string {
		return this.#stored?.file ?? this.form.name.trim();
	}

	get draft(): SourceDraft {
		if (this.text !== null) return { text: this.text };
		if (this.#baseText !== null)
			return { text: this.#baseText, patch: patchBetween(this.#baseForm, this.form) };
		return this.isNew ? newFileDraft(this.form) : { patch: patchBetween(this.#storedForm, this.form) };
	}

	/** Whether what would be saved is what was tried. */
	get isTried(): boolean {
		return this.#tried === this.#fingerprint();
	}

	async check(): Promise<CheckedSource> {
		const checked = await this.#send<CheckedSource>(this.#path('/check'), {
			method: 'POST',
			body: this.draft,
		});
		this.warnings = checked.warnings;
		return checked;
	}

	/** Shows the form as text. A form that is not fit to be saved is refused by the check. */
	async editText(): Promise<void> {
		this.text = (await this.check()).text;
	}

	async editForm(): Promise<void> {
		const { text, settings } = await this.check();
		this.#baseText = text;
		this.#baseForm = formOfSettings(settings);
		this.form = formOfSettings(settings);
		this.text = null;
	}

	/** Runs the draft and waits for the result, until `signal` is aborted. */
	async try(signal: AbortSignal): Promise<void> {
		this.result = null;
		const fingerprint = this.#fingerprint();
		const { trial } = await this.#send<{ trial: string }>(this.#path('/trial'), {
			method: 'POST',
			body: this.draft,
		});
		while (!signal.aborted) {
			const { result } = await this.#send<Trial>(`/api/trials/${trial}`);
			if (result) {
				this.result = result;
				this.#tried = fingerprint;
				return;
			}
			await new Promise((resolve) => setTimeout(resolve, TRIAL_POLL_MS));
		}
	}

	async save(): Promise<void> {
		const version = this.#stored?.version ?? null;
		const saved = await this.#send<SourceFile>(this.#path(), { method: 'PUT', body: this.draft, version });
		this.#take(saved);
	}

	async remove(): Promise<void> {
		if (this.#stored) await this.#send(this.#path(), { method: 'DELETE', version: this.#stored.version });
	}

	#take(stored: SourceFile): void {
		this.#stored = stored;
		this.#baseText = null;
		this.#storedForm = formOfSettings(stored.settings ?? {});
		this.form = formOfSettings(stored.settings ?? {});
		// What cannot be read as settings is mended as text.
		this.text = stored.settings === null || this.text !== null ? stored.text : null;
		this.#tried = null;
	}

	#fingerprint(): string {
		return JSON.stringify([this.file, this.draft]);
	}

	#path(rest = ''): CommandPath {
		return `/api/sources/${encodeURIComponent(this.file)}${rest}`;
	}
}
