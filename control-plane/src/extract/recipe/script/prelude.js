// Globals that scripts of pages expect; none of them does any I/O. `native` holds what Rust does.
var window = globalThis, self = globalThis;
var console = { log() {}, warn() {}, error() {}, info() {}, debug() {} };

(({ parseQuery, serializeQuery, parseUrl, decodeText, encodeText }) => {
	const define = (classes) => {
		for (const [name, value] of Object.entries(classes)) {
			Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
		}
	};

	// https://url.spec.whatwg.org/#interface-urlsearchparams
	class URLSearchParams {
		#pairs;

		constructor(init = '') {
			if (typeof init === 'object' && init !== null) {
				const pairs = typeof init[Symbol.iterator] === 'function' ? [...init] : Object.entries(init);
				this.#pairs = pairs.map(([name, value]) => [String(name), String(value)]);
			} else {
				this.#pairs = JSON.parse(parseQuery(String(init).replace(/^\?/, '')));
			}
		}

		get size() {
			return this.#pairs.length;
		}

		get(name) {
			return this.getAll(name)[0] ?? null;
		}

		getAll(name) {
			return this.#pairs.filter(([other]) => other === String(name)).map(([, value]) => value);
		}

		has(name, value) {
			return this.getAll(name).some((other) => value === undefined || other === String(value));
		}

		append(name, value) {
			this.#pairs.push([String(name), String(value)]);
		}

		set(name, value) {
			const first = this.#pairs.find(([other]) => other === String(name));
			if (!first) return this.append(name, value);
			first[1] = String(value);
			this.#pairs = this.#pairs.filter((pair) => pair === first || pair[0] !== first[0]);
		}

		delete(name, value) {
			const matches = ([other, text]) =>
				other === String(name) && (value === undefined || text === String(value));
			this.#pairs = this.#pairs.filter((pair) => !matches(pair));
		}

		sort() {
			this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
		}

		forEach(callback, that) {
			for (const [name, value] of this) callback.call(that, value, name, this);
		}

		entries() {
			return this.#pairs.map((pair) => [...pair]).values();
		}

		keys() {
			return this.#pairs.map(([name]) => name).values();
		}

		values() {
			return this.#pairs.map(([, value]) => value).values();
		}

		[Symbol.iterator]() {
			return this.entries();
		}

		toString() {
			return serializeQuery(JSON.stringify(this.#pairs));
		}
	}

	// https://url.spec.whatwg.org/#url-class, read only but for `searchParams`.
	class URL {
		#parts;
		#query;
		searchParams;

		constructor(text, base) {
			const parts = parseUrl(String(text), base === undefined ? '' : String(base));
			if (parts === null) throw new TypeError('Invalid URL');
			this.#parts = JSON.parse(parts);
			this.searchParams = new URLSearchParams(this.#parts.search);
			this.#query = this.searchParams.toString();
		}

		// The query as it was written, until `searchParams` changes it.
		get search() {
			const query = this.searchParams.toString();
			if (query === this.#query) return this.#parts.search;
			return query && `?${query}`;
		}

		get href() {
			return this.#parts.before + this.search + this.hash;
		}

		toString() {
			return this.href;
		}

		toJSON() {
			return this.href;
		}

		static canParse(text, base) {
			return parseUrl(String(text), base === undefined ? '' : String(base)) !== null;
		}

		get protocol() {
			return this.#parts.protocol;
		}

		get origin() {
			return this.#parts.origin;
		}

		get host() {
			return this.#parts.host;
		}

		get hostname() {
			return this.#parts.hostname;
		}

		get port() {
			return this.#parts.port;
		}

		get pathname() {
			return this.#parts.pathname;
		}

		get hash() {
			return this.#parts.hash;
		}
	}

	const bytesOf = (input) =>
		ArrayBuffer.isView(input)
			? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
			: new Uint8Array(input);

	// https://encoding.spec.whatwg.org/#interface-textdecoder, for whole texts.
	class TextDecoder {
		#fatal;
		#ignoreBOM;

		constructor(label = 'utf-8', { fatal = false, ignoreBOM = false } = {}) {
			this.encoding = String(label).trim().toLowerCase().replace(/^utf8$/, 'utf-8');
			if (decodeText(this.encoding, '') === null) {
				throw new RangeError(`TextDecoder: ${this.encoding} is not known`);
			}
			this.#fatal = fatal;
			this.#ignoreBOM = ignoreBOM;
		}

		decode(input = new Uint8Array()) {
			const bytes = bytesOf(input);
			const pieces = [];
			// An argument each: the engine's stack holds some thousands.
			for (let at = 0; at < bytes.length; at += 1024) {
				pieces.push(String.fromCharCode.apply(null, bytes.subarray(at, at + 1024)));
			}
			const text = decodeText(this.encoding, pieces.join(''));
			if (this.#fatal && text.includes('\ufffd')) {
				throw new TypeError('TextDecoder: not in this encoding');
			}
			return this.#ignoreBOM ? text : text.replace(/^\ufeff/, '');
		}
	}

	// https://encoding.spec.whatwg.org/#interface-textencoder
	class TextEncoder {
		get encoding() {
			return 'utf-8';
		}

		encode(text = '') {
			return Uint8Array.from(encodeText(String(text)), (c) => c.charCodeAt(0));
		}
	}

	define({ URLSearchParams, URL, TextDecoder, TextEncoder });
})(native);
delete globalThis.native;
