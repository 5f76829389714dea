// The developer overlay: a session's connection, tables and messages, over the game.
//
//     import { attachOverlay } from "/overlay.js";
//     attachOverlay().watch(session);
//
// It is behind a key, and costs next to nothing while it is hidden: the raw bytes of the last messages are kept, and
// nothing is decoded or drawn.

import { type Overlay, type OverlayOptions, Panel } from "./panel.js";

export type { Overlay, OverlayOptions } from "./panel.js";
export type { WatchedSession } from "./recorder.js";

/**
 * Puts the overlay into the page. It is hidden at first, unless the tab remembers otherwise or the page's address has
 * `?overlay`.
 */
export function attachOverlay(options: OverlayOptions = {}): Overlay {
  return new Panel(options);
}
