// The page that a session lives in: whether it is seen, comes back, or goes.

/** What a session looks at; another one for tests. */
export interface Page {
  /** Nobody sees the page: its tab is in the background, or its screen is locked. */
  readonly hidden: boolean;
  /** Calls at each event of the page's window of that type; the function that is given ends it. */
  listen(type: PageEvent, callback: () => void): () => void;
}

/** "visibilitychange": look at `hidden`; "online": there is a network again; the page was shown ("pageshow") or goes. */
export type PageEvent = "visibilitychange" | "online" | "pageshow" | "pagehide";

/** The page that this program runs in, null outside of pages. */
export function thisPage(): Page | null {
  if (typeof document === "undefined") return null;
  return {
    get hidden() {
      return document.visibilityState === "hidden";
    },
    listen(type, callback) {
      addEventListener(type, callback); // events of the document come by the window, too
      return () => removeEventListener(type, callback);
    },
  };
}
