// A seat that is kept while a page is loaded again (SPEC 14.3, last paragraph).
//
// It is in the storage only from when a page goes until the next one begins. So a tab that is duplicated copies no seat
// that is in use, and two tabs do not fight for one.

/** The part of `Storage` that is needed. */
export type SeatStorage = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** What brings a player back who has lost its replica. */
export interface KeptSeat {
  /** The message, as it came. */
  readonly welcome: Uint8Array;
  /** The newest token. */
  readonly seat: string;
  /** How many messages and replies have come. */
  readonly heard: number;
}

/** One place in a storage. Without a storage, or one that refuses, nothing is kept. */
export class SeatKeeper {
  #storage: SeatStorage | undefined;

  /**
   * @param key where in the storage
   * @param wish which room the page asks for: a seat that was got by asking for another one is none
   */
  constructor(
    storage: SeatStorage | undefined,
    readonly key: string | undefined,
    readonly wish: string,
  ) {
    if (key !== undefined) attempt(() => (this.#storage = storage ?? sessionStorage));
  }

  /** The seat that the page before this one has left, null for none; it is in the storage no more. */
  take(): KeptSeat | null {
    return (
      attempt(() => {
        const [wish, welcome, seat, heard] = JSON.parse(this.#storage?.getItem(this.#place) ?? "[]");
        this.#storage?.removeItem(this.#place);
        if (wish !== this.wish) return null;
        return { welcome: Uint8Array.from(welcome, (letter: string) => letter.charCodeAt(0)), seat, heard };
      }) ?? null
    );
  }

  /** The page goes. */
  put({ welcome, seat, heard }: KeptSeat): void {
    const letters = welcome.reduce((text, byte) => text + String.fromCharCode(byte), "");
    attempt(() => this.#storage?.setItem(this.#place, JSON.stringify([this.wish, letters, seat, heard])));
  }

  get #place(): string {
    return `tickwire ${this.key}`;
  }
}

/** Storages throw when they are full, or when the player does not want them. */
function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
