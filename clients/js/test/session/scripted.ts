// A server that says what a test tells it to, without a network: for what no real server would do.

import { decode, encode } from "@msgpack/msgpack";
import { open, type Session, type SessionOptions } from "../../src/index.js";

/** A WebSocket whose other end is the test. */
export class ScriptedSocket {
  binaryType = "blob";
  readyState = 0;
  bufferedAmount = 0;
  /** What the client has sent, decoded. */
  readonly sent: unknown[][] = [];
  /** How the client has closed it, null while it has not. */
  closedWith: unknown[] | null = null;
  onopen = () => {};
  onmessage = (_: { data: unknown }) => {};
  onerror = () => {};
  onclose = (_: { code: number; reason: string }) => {};

  constructor(readonly address: string) {}

  send(bytes: Uint8Array): void {
    this.sent.push(decode(bytes) as unknown[]);
  }

  close(...how: unknown[]): void {
    this.closedWith ??= how;
    this.readyState = 2;
  }

  // -- what the test does

  accept(): void {
    this.readyState = 1;
    this.onopen();
  }

  say(...items: unknown[]): void {
    const bytes = encode(items);
    this.onmessage({ data: bytes.slice().buffer });
  }

  /** A frame of tick `tick`; `back` 0 is a full one. */
  frame(tick: number, back = 0, chunks: unknown[] = [], hash: number | null = null): void {
    this.say(3, [tick, back, 0], hash, ...chunks);
  }

  end(code = 1006, reason = ""): void {
    this.readyState = 3;
    this.onclose({ code, reason });
  }

  /** The messages of one kind that the client has sent. */
  ofKind(kind: number): unknown[][] {
    return this.sent.filter((items) => items[0] === kind);
  }
}

const DOT = { name: "Dot", fields: [{ kind: "uint", name: "x", bits: 8 }], single: false, of: null };
export const WELCOME = {
  room: "lab",
  room_id: "1",
  player: 3,
  tick: 9,
  tick_rate: 20,
  schema: {
    tables: [DOT],
    input: { name: "Push", fields: [{ name: "right", type: "bool", default: false }], per_tick: 1, missing: "skip" },
  },
  seat: "first token",
  seat_seconds: 30,
};

/** Whole rows of dots: ids by their gaps, and the x of each. */
export function dots(gaps: number[], x: number): unknown[] {
  return [0, null, null, [[Uint8Array.from(gaps)], x]];
}

/** The rows of dots that are gone. */
export function gone(gaps: number[]): unknown[] {
  return [0, null, [Uint8Array.from(gaps)], null];
}

/** A session of a scripted server, its connections, and its clock in seconds. */
export class Scripted {
  readonly sockets: ScriptedSocket[] = [];
  readonly session: Session;
  now = 1000;

  constructor(options: SessionOptions = {}) {
    const { sockets } = this;
    class Socket extends ScriptedSocket {
      constructor(address: string) {
        super(address);
        sockets.push(this);
      }
    }
    this.session = open("ws://scripted/lab", {
      webSocket: Socket,
      clock: () => this.now,
      chance: () => 0,
      page: null,
      ...options,
    });
  }

  get socket(): ScriptedSocket {
    return this.sockets[this.sockets.length - 1];
  }

  /** Lets the player in, up to a full frame of tick 10 without rows. */
  join(welcome: object = {}): this {
    this.socket.accept();
    this.socket.say(2, { ...WELCOME, ...welcome });
    this.socket.frame(10);
    return this;
  }

  /** Breaks the connection; the next one is open when this is done, and has said hello. */
  breakConnection(): void {
    const { length } = this.sockets;
    this.socket.end();
    this.now += 0.01;
    this.session.sendInput({}); // the session looks at its clock
    if (this.sockets.length === length) throw new Error("no further attempt");
    this.socket.accept();
  }

  giveBack(): void {
    this.socket.say(10, { player: 3, tick: 20, seat: "next token", seat_seconds: 30, inputs: 0, messages: 0 });
  }
}
