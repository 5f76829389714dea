// Sessions with Node's WebSocket whose connections a test can see, cut and spoil.

import { WebSocket as NodeSocket } from "ws";
import { connect, open, type Session, type SessionEvent, type SessionOptions } from "../../src/index.js";

/** A connection of a session under test. */
export class SeenSocket extends NodeSocket {
  /** Changes what comes before the session sees it; null lets nothing through. */
  spoil: (bytes: Uint8Array) => Uint8Array | null = (bytes) => bytes;

  override set onmessage(callback: ((event: { data: unknown }) => void) | null) {
    super.onmessage = callback
      ? (event) => {
          const bytes = this.spoil(new Uint8Array(event.data as ArrayBuffer));
          if (bytes) callback({ data: bytes.slice().buffer });
        }
      : null;
  }

  override get onmessage(): never {
    throw new Error("for writing only");
  }

  /** The network breaks; no Close is sent or received. */
  cut(): void {
    this.terminate();
  }
}

/** The connections of one session, the newest last. */
export class Sockets extends Array<SeenSocket> {
  /** The page is gone: its session makes no connection any more. */
  dead = false;
}

/** All players of one test. */
export class Players {
  readonly sessions: Session[] = [];

  /** What a session is to be given so that its connections can be seen in `sockets`. */
  seen(options: SessionOptions = {}): SessionOptions & { sockets: Sockets } {
    const sockets = new Sockets();
    class Socket extends SeenSocket {
      constructor(address: string, protocol: string) {
        if (sockets.dead) throw new Error("the page is gone");
        super(address, protocol);
        sockets.push(this);
      }
    }
    return { webSocket: Socket, ...options, sockets };
  }

  async connect(url: string, options: SessionOptions = {}): Promise<{ session: Session; sockets: Sockets }> {
    const { sockets, ...seen } = this.seen(options);
    const session = await connect(url, seen);
    this.sessions.push(session);
    return { session, sockets };
  }

  open(url: string, options: SessionOptions = {}): { session: Session; sockets: Sockets } {
    const { sockets, ...seen } = this.seen(options);
    const session = open(url, seen);
    this.sessions.push(session);
    return { session, sockets };
  }

  leave(): void {
    for (const session of this.sessions.splice(0)) session.close();
  }
}

/** All events of a session from now on. */
export function recorded(session: Session): SessionEvent[] {
  const events: SessionEvent[] = [];
  for (const type of ["joined", "frame", "message", "refused", "dropped", "returned", "disconnected"] as const) {
    session.on(type, (event) => events.push(event));
  }
  return events;
}

/** Payloads of the messages of one kind among events. */
export function payloads(events: SessionEvent[], kind: string): unknown[] {
  return events.flatMap((event) => (event.type === "message" && event.kind === kind ? [event.payload] : []));
}
