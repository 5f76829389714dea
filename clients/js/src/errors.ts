// What can go wrong for a program that plays.

import { reconnectSeconds } from "./closing.js";

/** A connection that is no more: `code` is the WebSocket close code, 1006 when there was no closing handshake. */
class EndedError extends Error {
  constructor(
    readonly code: number,
    /** Why, in words; partly the server's, so do not trust it with anything but being shown as text. */
    readonly reason: string,
  ) {
    super(`${reason} (${code})`);
  }

  /** When to come back, as the server says: it restarts, or cannot do better now. null when it says nothing. */
  get reconnectSeconds(): number | null {
    return reconnectSeconds(this.code, this.reason);
  }
}

/** The room could not be joined; the text says what the server answered and what to do. */
export class ConnectError extends EndedError {
  override readonly name = "ConnectError";
}

/** The connection has ended. */
export class DisconnectedError extends EndedError {
  override readonly name = "DisconnectedError";
}

/** A value that the room's input does not take; the text names the field and what it takes. */
export class InputError extends Error {
  override readonly name = "InputError";
}

/** The room answered a request with no. */
export class RequestFailedError extends Error {
  override readonly name = "RequestFailedError";

  /**
   * @param code a word for programs. The game's own, or the server's: "unknown" (no such request), "invalid" (the
   *   payload does not fit, the reason names the field), "spectator" (spectators only watch), "failed".
   * @param reason why, in words that may be shown to the player; empty when the room gave none.
   */
  constructor(
    readonly code: string,
    readonly reason: string,
  ) {
    super(reason ? `${reason} (${code})` : code);
  }
}

/** The room did not answer a request in time. It may do what was asked for all the same. */
export class RequestTimeoutError extends Error {
  override readonly name = "RequestTimeoutError";

  constructor(readonly kind: string) {
    super(`request "${kind}" was not answered in time`);
  }
}
