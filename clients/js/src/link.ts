// One WebSocket to a server: the only part that owns one.

import { CloseCode } from "./closing.js";
import { SUBPROTOCOL } from "./wire/messages.js";

/** Bytes that may wait unsent; a client sends about 1 KB a second, so a server that leaves so much unread is gone. */
const UNSENT_BYTES = 262144;
/** With more than this unsent the network is stuck; a browser counts what it is about to send, too. */
const STUCK_BYTES = 4096;

/** Of a reason, in ASCII. */
const REASON_BYTES = 123;

/** A client's connection. After the constructor nothing throws because of the server or the network. */
export class Link {
  #closed = false;
  #socket: WebSocket;

  /**
   * @param opened, heard, ended are called until the link is closed from here
   * @throws what the WebSocket class throws for an address that it does not take
   */
  constructor(
    WebSocketClass: typeof WebSocket,
    address: string,
    opened: () => void,
    heard: (bytes: Uint8Array) => void,
    ended: (code: number, reason: string) => void,
  ) {
    const socket = new WebSocketClass(address, SUBPROTOCOL);
    this.#socket = socket;
    const end = (code: number, reason: string) => {
      if (!this.#closed) ended(code, reason);
      this.#closed = true;
    };
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#closed || opened();
    socket.onmessage = ({ data }) => {
      if (this.#closed) return;
      if (data instanceof ArrayBuffer) return heard(new Uint8Array(data));
      end(CloseCode.UNSUPPORTED, "a text message");
      socket.close(CloseCode.NORMAL);
    };
    socket.onerror = () => {}; // `onclose` follows; Node's library ends the process when nobody listens
    socket.onclose = ({ code, reason }) => end(code, reason);
  }

  /** Whether messages can be sent; false already before `ended` tells of a loss. */
  get open(): boolean {
    return !this.#closed && this.#socket.readyState === 1;
  }

  /** Whether what is sent now would wait for the network. */
  get stuck(): boolean {
    return this.#socket.bufferedAmount > STUCK_BYTES;
  }

  /** Sends a message; false when the link is not open, or leaves too much unsent. Nothing was taken then. */
  write(bytes: Uint8Array): boolean {
    if (!this.open || this.#socket.bufferedAmount + bytes.length > UNSENT_BYTES) return false;
    this.#socket.send(bytes as Uint8Array<ArrayBuffer>);
    return true;
  }

  /** Says goodbye for good; the player's seat goes with it. Nothing is told any more. */
  close(code: number, reason: string): void {
    this.#closed = true;
    // Browsers take 1000 and codes from 3000 on, and throw for others, as for a reason that is too long.
    const allowed = code >= 3000 && code < 5000 ? code : CloseCode.NORMAL;
    this.#socket.close(allowed, reason.replace(/[^ -~]/g, "?").slice(0, REASON_BYTES));
  }

  /** Leaves the connection alone, without a code: the seat is kept (SPEC 14.1). Nothing is told any more. */
  abandon(): void {
    this.#closed = true;
    this.#socket.close();
  }
}
