import type { ClientInit } from '@sveltejs/kit';
import { language } from '$lib/i18n/language.svelte';
import '$lib/i18n/texts';

/** Runs before anything is shown. */
export const init: ClientInit = () => language.start();
