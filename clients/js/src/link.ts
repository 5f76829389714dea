// One WebSocket to a server: the only part that owns one.

import { CloseCode, fittingReason, sendableCode } from "./closing.js";
import { ProtocolError } from "./wire/errors.js";

const SUBPROTOCOL = "tickwire.1";
/** Bytes that may wait unsent; a client sends about 1 KB a second, so a server that leaves so much unread is gone. */
const UNSENT_BYTES = 262144;
/** With more than this unsent the network is stuck; a browser counts what it is about to send, too. */
const STUCK_BYTES = 4096;

/** What a link tells, until it is closed. */
export interface LinkOwner {
  linkOpened(): void;
  linkHeard(bytes: Uint8Array): void;
  linkFailed(error: ProtocolError): void;
  linkClosed(code: number, reason: string): void;
}

/** A client's connection. After the constructor nothing throws because of the server or the network. */
export class Link {
  /** The opening handshake has succeeded. */
  opened = false;
  /** Nothing comes or goes any more. */
  closed = false;
  #socket: WebSocket;

  /** @throws what the WebSocket class throws for an address that it does not take */
  constructor(WebSocketClass: typeof WebSocket, address: string, owner: LinkOwner) {
    const socket = new WebSocketClass(address, SUBPROTOCOL);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      if (this.closed) return;
      this.opened = true;
      owner.linkOpened();
    };
    socket.onmessage = ({ data }) => {
      if (this.closed) return;
      if (typeof data === "string")
        owner.linkFailed(new ProtocolError(CloseCode.UNSUPPORTED, "messages must be binary"));
      else owner.linkHeard(new Uint8Array(data as ArrayBuffer));
    };
    socket.onerror = () => {}; // `onclose` follows; Node's library ends the process when nobody listens
    socket.onclose = ({ code, reason }) => {
      if (this.closed) return;
      this.closed = true;
      owner.linkClosed(code, reason);
    };
  }

  /** Whether messages can be sent; false already before `linkClosed` tells of a loss. */
  get open(): boolean {
    return !this.closed && this.#socket.readyState === 1;
  }

  /** Whether what is sent now would wait: the network is stuck, or there is none. */
  get stuck(): boolean {
    return !this.open || this.#socket.bufferedAmount > STUCK_BYTES;
  }

  /** Sends a message; false when the link is not open, or leaves too much unsent. Nothing was taken then. */
  write(bytes: Uint8Array): boolean {
    const socket = this.#socket;
    if (!this.open || socket.bufferedAmount + bytes.length > UNSENT_BYTES) return false;
    socket.send(bytes as Uint8Array<ArrayBuffer>);
    return true;
  }

  /** Says goodbye for good; the player's seat goes with it. Nothing is told any more. */
  close(code: number, reason: string): void {
    this.closed = true;
    if (this.#socket.readyState < 2) this.#socket.close(sendableCode(code), fittingReason(reason));
  }

  /** Leaves the connection alone, without a code: the seat is kept (SPEC 14.1). Nothing is told any more. */
  abandon(): void {
    this.closed = true;
    if (this.#socket.readyState < 2) this.#socket.close();
  }
}
