// What the tests of the session share.
import type { Page, PageEvent } from "../../src/visibility.js";
/** Numbers from 0 to below 1 that are the same each time (mulberry32, Tommy Ettinger). */
export function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A storage as browsers have it. */
export function memoryStorage(): {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
  size(): number;
} {
  const items = new Map<string, string>();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
    size: () => items.size,
  };
}

/** A page whose window's events a test lets happen. */
export class FakePage implements Page {
  hidden = false;
  #listeners = new Set<(type: PageEvent) => void>();

  listen(callback: (type: PageEvent) => void): () => void {
    this.#listeners.add(callback);
    return () => this.#listeners.delete(callback);
  }

  happen(type: PageEvent): void {
    for (const callback of this.#listeners) callback(type);
  }

  show(shown: boolean): void {
    this.hidden = !shown;
    this.happen("visibilitychange");
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}

/** Waits until something holds; an error that names it when it does not within so many seconds. */
export async function until(what: string, holds: () => boolean, seconds = 5): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export const pause = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
