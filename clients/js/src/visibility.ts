// The page that a session lives in: whether it is seen, comes back, or goes.

/** "visibilitychange": look at `hidden`; "online": there is a network again; the page was shown ("pageshow") or goes. */
export type PageEvent = "visibilitychange" | "online" | "pageshow" | "pagehide";

/** What a session looks at; another one for tests. */
export interface Page {
  /** Nobody sees the page: its tab is in the background, or its screen is locked. */
  readonly hidden: boolean;
  /** Calls at each of those events of the page's window; the function that is given ends it. */
  listen(callback: (type: PageEvent) => void): () => void;
}

const EVENTS = ["visibilitychange", "online", "pageshow", "pagehide"] as const;

/** The page that this program runs in, null outside of pages. */
export function thisPage(): Page | null {
  if (typeof document === "undefined") return null;
  return {
    get hidden() {
      return document.hidden;
    },
    listen(callback) {
      const listener = ({ type }: Event) => callback(type as PageEvent);
      for (const type of EVENTS) addEventListener(type, listener); // events of the document come by the window, too
      return () => {
        for (const type of EVENTS) removeEventListener(type, listener);
      };
    },
  };
}
