// One shell for every path, run in the browser: the edge serves it for anything that is not a route of its own.
export const ssr = false;
export const prerender = false;
