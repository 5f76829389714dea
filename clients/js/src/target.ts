// Where a room is.

const SCHEMES: Record<string, string> = { "ws:": "ws:", "wss:": "wss:", "http:": "ws:", "https:": "wss:" };

/**
 * The WebSocket address of `target`: ws://host:port/room, wss://..., the same with http, or in a page a path as "/arena"
 * on the page's own host.
 *
 * @param page address of the page, undefined outside of one
 * @throws TypeError it is no such address; the text says how to write one
 */
export function socketAddress(target: string, page: string | undefined = pageAddress()): string {
  let url: URL | null = null;
  try {
    url = new URL(target, page);
  } catch {}
  if (!url || !SCHEMES[url.protocol] || !url.host) {
    throw new TypeError(`"${target}" is no address of a room: write ws://host:port/room, or /room in a page`);
  }
  return `${SCHEMES[url.protocol]}//${url.host}${url.pathname}${url.search}`;
}

/** The address for requests over HTTP to the server of `target`: "/rooms", for instance. */
export function httpAddress(target: string, path: string, page?: string): URL {
  return new URL(path, socketAddress(target, page).replace("ws", "http"));
}

function pageAddress(): string | undefined {
  return typeof location === "undefined" ? undefined : location.href;
}
