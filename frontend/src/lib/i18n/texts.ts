import { en } from './en';
import { createTexts } from './language.svelte';

/** The texts of the page: `t('play')`, `t('addFeed', { feed })`. */
export const t = createTexts(en, { de: () => import('./de') });
