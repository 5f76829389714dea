// Where a room is.

/**
 * The WebSocket address of `target`: ws://host:port/room, wss://..., the same with http, or in a page a path as "/arena"
 * on the page's own host.
 *
 * @param page address of the page, undefined outside of one
 * @throws TypeError it is no such address; the text says how to write one
 */
export function socketAddress(target: string, page = globalThis.location?.href): string {
  try {
    const url = new URL(target, page);
    url.hash = "";
    if (/^(ws|http)s?:$/.test(url.protocol) && url.host) return url.href.replace(/^http/, "ws");
  } catch {} // `URL.canParse` is younger than browsers that players have
  throw new TypeError(`"${target}" is no address: write ws://host:port/room, or /room in a page`);
}

/** The address for requests over HTTP to the server of `target`: "/rooms", for instance. */
export function httpAddress(target: string, path: string, page?: string): URL {
  return new URL(path, socketAddress(target, page).replace("ws", "http"));
}
