// A seat that is kept while a page is loaded again (SPEC 14.3, last paragraph).
//
// It is in the storage only from when a page goes until the next one begins. So a tab that is duplicated copies no seat
// that is in use, and two tabs do not fight for one.

/** The part of `Storage` that is needed. */
export type SeatStorage = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** What brings a player back who has lost its replica: the welcome as it came, the newest token, and how many messages
 * and replies have come. */
export type KeptSeat = [welcome: Uint8Array, seat: string, heard: number];

/** One place in a storage. Without a key, or with a storage that refuses, nothing is kept. */
export class SeatKeeper {
  readonly #storage: SeatStorage | undefined;
  readonly #key: string | undefined;
  readonly #wish: string;

  /** @param wish which room the page asks for: a seat that was got by asking for another one is none */
  constructor(storage: SeatStorage | undefined, key: string | undefined, wish: string) {
    this.#storage = storage;
    this.#key = key;
    this.#wish = wish;
  }

  /** The seat that the page before this one has left, null for none; it is in the storage no more. */
  take(): KeptSeat | null {
    let found: KeptSeat | null = null;
    this.#try((storage, key) => {
      const text = storage.getItem(key);
      storage.removeItem(key);
      const [wish, welcome, seat, heard] = JSON.parse(text ?? "[]");
      if (wish === this.#wish) found = [Uint8Array.from(welcome), seat, heard];
    });
    return found;
  }

  /** The page goes. */
  put([welcome, ...rest]: KeptSeat): void {
    this.#try((storage, key) => storage.setItem(key, JSON.stringify([this.#wish, [...welcome], ...rest])));
  }

  /** Storages throw when they are full, or when the player does not want them. */
  #try(action: (storage: SeatStorage, key: string) => void): void {
    try {
      if (this.#key !== undefined) action(this.#storage ?? sessionStorage, `tickwire ${this.#key}`);
    } catch {}
  }
}
