import { createTexts } from '$lib/i18n/language.svelte';
import { en } from './en';

/** The texts of the control page, which viewers do not load. */
export const t = createTexts(en, { de: () => import('./de') });
