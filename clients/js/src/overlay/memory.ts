// What a page's overlay remembers until the tab is closed.

const KEY = "tickwire-overlay";

export interface Remembered {
  readonly visible?: boolean;
  readonly part?: string;
}

/** What was kept; nothing where pages may not keep anything. */
export function recall(): Remembered {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
    return typeof kept === "object" && kept !== null ? kept : {};
  } catch {
    return {};
  }
}

export function remember(what: Remembered): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(what));
  } catch {
    // not kept
  }
}
