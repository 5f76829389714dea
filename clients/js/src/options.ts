// How a session is set up.

import type { JoinOptions } from "./hello.js";
import type { SeatStorage } from "./keeping.js";
import type { Page } from "./visibility.js";

/** How to join, and how to stay. */
export interface SessionOptions extends JoinOptions {
  /** Come back by itself when the connection is lost and the room keeps the player's seat; true unless said. */
  reconnect?: boolean;
  /** Seconds until joining is given up; 10 unless said. */
  joinSeconds?: number;
  /** "pause": while the page is hidden frames are not acknowledged, so that the server soon stops sending, and one frame
   * makes the world current when the page is seen again. "play": go on as if it were seen. */
  whenHidden?: "pause" | "play";
  /** A name under which the seat is left in the storage when the page goes, so that the page that is loaded next comes
   * back to it. `close` gives it up. */
  keepSeat?: string;
  /** Where; `sessionStorage` unless said. */
  storage?: SeatStorage;
  /** The WebSocket class; Node 20 has none: give that of the package `ws`. */
  webSocket?: unknown;
  /** Seconds of a clock that never goes back. */
  clock?: () => number;
  /** Gives numbers from 0 to below 1, by which attempts to come back are spread. */
  chance?: () => number;
  /** What the session looks at to know whether it is seen; another one for tests, null for none. */
  page?: Page | null;
}

/** Sees every WebSocket message: "in" before it is taken in, "out" after it was sent; `seconds` of the session's clock. */
export type Observer = (direction: "in" | "out", bytes: Uint8Array, seconds: number) => void;
