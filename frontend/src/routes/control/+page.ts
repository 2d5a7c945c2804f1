import { t } from '$lib/control/texts';

export const load = () => t.ready();
