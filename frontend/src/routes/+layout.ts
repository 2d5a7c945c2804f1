// The page runs only in the browser: the edge serves one HTML shell for every path that is not a route of its own.
export const ssr = false;
export const prerender = false;
