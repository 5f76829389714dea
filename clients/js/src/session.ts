// A player's side of one room: joins, keeps the world equal to the server's, sends inputs, and comes back.

import { Alarm } from "./alarm.js";
import { Callbacks } from "./callbacks.js";
import { CloseCode, VANISHED, worthTrying } from "./closing.js";
import { ConnectError, DisconnectedError, InputError } from "./errors.js";
import { report, type SessionEvent } from "./events.js";
import { makeHello, returnHello } from "./hello.js";
import { type KeptSeat, SeatKeeper } from "./keeping.js";
import { Link } from "./link.js";
import type { Observer, SessionOptions } from "./options.js";
import { REQUEST_SECONDS } from "./requests.js";
import { patienceSeconds } from "./silence.js";
import { measure, type Stats } from "./stats.js";
import { Stay } from "./stay.js";
import { socketAddress } from "./target.js";
import { type Page, type PageEvent, thisPage } from "./visibility.js";
import { Way } from "./way.js";
import { ProtocolError } from "./wire/errors.js";
import { encodeHello, type HelloFields, readMessage, type ServerMessage, type Welcome } from "./wire/messages.js";
import type { Entities, World } from "./wire/replica.js";
import type { Schema } from "./wire/schema.js";
import type { Row } from "./wire/table.js";

export type { Observer, SessionOptions } from "./options.js";

/** How long joining may take, in seconds: connection, handshake and first frame together. */
const JOIN_SECONDS = 10;
/** With so much silence before the network came back, a connection did not outlive that. In seconds. */
const SUSPICIOUS_SECONDS = 0.5;
/** So many steps of promises a program may take until it has got its session from `connect`, and listens. */
const PROMISE_STEPS = 20;

/**
 * One player in one room; made by `connect` and `open`.
 *
 * Nothing here throws because of the server or the network: that is told by events, `closed` and `closeReason`. Frames
 * are applied when they come, and callbacks run right then.
 */
export class Session<W extends object = Entities> extends Callbacks<W> {
  /** The player's number, 0 before it is known. This and the following are for reading only. */
  player = 0;
  /** Where it is; empty before it is known. */
  room = "";
  roomId = "";
  /** Ticks per second; 0 before it is known, and of a room that ticks when something happens. */
  tickRate = 0;
  /** Whether the player may only watch. */
  spectator = false;
  /** What tables and inputs there are, null before it is known. */
  schema: Schema | null = null;

  readonly #options: SessionOptions;
  readonly #hello: HelloFields;
  readonly #address: string;
  readonly #clock: () => number;
  readonly #page: Page | null;
  readonly #unwatch: (() => void) | undefined;
  readonly #keeper: SeatKeeper;
  readonly #observers = new Set<Observer>();
  readonly #alarm = new Alarm(() => {
    this.#way.silence.note(this.#clock(), this.#isPaused);
    this.#step();
  });
  #settle: ((error: ConnectError | null) => void) | null;
  #way!: Way;
  #stay: Stay | null = null; // from the welcome on
  #resumed: KeptSeat | null = null; // the seat of the page before this one, until the server has answered
  #early: SessionEvent[] | null = []; // what came before there was somebody to be told
  #bytesIn = 0;
  #bytesOut = 0;

  /** @param settle is called once when the player is in the room (null), or is not to be */
  constructor(
    target: string,
    options: SessionOptions = {},
    settle: ((error: ConnectError | null) => void) | null = null,
  ) {
    super();
    const { page = thisPage(), storage, keepSeat, clock = () => performance.now() / 1000 } = options;
    this.#options = options;
    this.#settle = settle;
    this.#clock = clock;
    this.#page = page;
    this.#address = socketAddress(target);
    const hello = makeHello(options);
    this.#hello = hello;
    encodeHello(hello); // so that what cannot travel is an error of the line that gave it
    const wish = { ...hello, token: null, options: null, password: null }; // no secrets in the storage
    this.#keeper = new SeatKeeper(storage, keepSeat, JSON.stringify([this.#address, wish]));
    this.#join(this.#keeper.take());
    this.#unwatch = page?.listen((type) => this.#look(type));
  }

  // -- what is

  /** The tick that `world` is at, 0 before the first frame. */
  get tick(): number {
    return this.world.tick;
  }

  /** The room-wide state as a row; null when the room has none, or before `joined`. */
  get state(): Row | null {
    return this.world.state;
  }

  /** Whether the WebSocket is open; not while `reconnecting`. */
  get connected(): boolean {
    return this.#way.connected;
  }

  /** Whether the connection was lost and the session tries to come back to the player's seat. */
  get reconnecting(): boolean {
    return this.joined && this.#way.active;
  }

  /** Whether it is over: nothing comes or goes any more. */
  get closed(): boolean {
    return this.closeCode > 0;
  }

  /** The smoothed round trip in seconds, null while it is not known. */
  get rtt(): number | null {
    return this.stats.rtt;
  }

  /** Counters and measures, as they are now. */
  get stats(): Stats {
    return measure(this.#clock(), this.#way, this.#stay, this.#bytesIn, this.#bytesOut);
  }

  // -- what to do

  /**
   * Says what the player wants to do, by the fields of the room's input; a field that is left out has its default.
   *
   * Call it as often as you like, once per animation frame say. At most one input leaves per tick of the server; what is
   * said in between is merged: a bool is true if it was true once, so a short key press is not lost, any other field has
   * its latest value. Whoever stops calling this goes on doing what was said last, unless the room declares otherwise.
   * While `reconnecting` all that is said is merged into one input, which leaves when the player is back.
   *
   * Nothing happens before `joined` and after the end.
   *
   * @throws InputError a field does not exist, or a value does not fit it; the text names it. Or the player only watches
   */
  sendInput(values: Record<string, unknown>): void {
    if (!this.joined) return;
    if (this.spectator) throw new InputError("spectators only watch");
    this.#stay?.inputs.offer(values);
    this.#step();
  }

  /**
   * Sends the merged input that waits, whatever the pace; true when none waits any more.
   *
   * The server queues what comes faster than its ticks and drops what is beyond its queue, so this is for rare use.
   */
  flushInput(): boolean {
    return !this.joined || !!this.#stay?.flush(this.#clock());
  }

  /**
   * Sends a message to the room. It keeps its place among messages and inputs. While `reconnecting` it is kept, up to
   * 64 KiB of them, and goes when the player is back.
   *
   * @returns false when it did not go: before `joined`, after the end, when the server leaves too much unread, or when no
   *   more is kept
   * @throws Error the message is longer than the server takes, or the payload cannot travel
   */
  send(kind: string, payload: unknown = null): boolean {
    return this.joined && !!this.#stay?.send(kind, payload, this.#clock());
  }

  /**
   * Asks the room for something; what it answers. Like a message it keeps its place, and goes when the player is back if
   * it is away. `timeout`: seconds until it fails, 5 unless said; Infinity for never.
   *
   * Rejects with RequestFailedError when the room says no, RequestTimeoutError when there was no answer in time (the room
   * may do it all the same), DisconnectedError when the session has ended, and Error as `send` throws.
   */
  // biome-ignore lint/suspicious/noExplicitAny: what an answer is, only the game knows
  async request(kind: string, payload: unknown = null, { timeout = REQUEST_SECONDS } = {}): Promise<any> {
    const now = this.#clock();
    if (!this.joined || !this.#stay) {
      throw new DisconnectedError(this.closeCode || VANISHED, this.closeReason || "not joined yet");
    }
    const answer = this.#stay.ask(kind, payload, now, now + timeout);
    this.#schedule(now);
    return answer;
  }

  /** Tells the server how far the world is here, unless an input has said it; the session does so by itself. */
  acknowledge(): void {
    this.#stay?.acknowledge(this.#clock());
  }

  /**
   * For tools: calls with every WebSocket message; the function that is given ends it. Do not keep or write the bytes,
   * and send nothing from there: what has just left is not counted yet.
   */
  observe(observer: Observer): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /**
   * Leaves the room for good, so that the seat is free at once; with another code than 1000 the server may hold it for a
   * while. Calling it again changes nothing.
   */
  close(code: number = CloseCode.NORMAL, reason = "the player left"): void {
    this.#resumed = null;
    this.#leave(code || CloseCode.NORMAL, reason);
  }

  // -- connecting and ending

  /** Begins, with the seat that the page before this one has left if there is one. */
  #join(kept: KeptSeat | null): void {
    const { joinSeconds = JOIN_SECONDS, chance = Math.random } = this.#options;
    const now = this.#clock();
    this.#stay = null;
    this.#resumed = kept;
    this.#way = new Way(() => this.#makeLink(), now, joinSeconds, chance);
    if (kept) {
      const [welcome, seat, heard] = kept;
      try {
        this.#take(readMessage(welcome), welcome, now);
      } catch {
        this.#join(null); // another version of this page has left it
        return;
      }
      if (this.#stay) (this.#stay as Stay).heard = heard;
      this.#way.comeBack(now, seat);
    }
    this.#way.link = this.#makeLink();
    this.#schedule(now);
  }

  #makeLink(): Link {
    const WebSocketClass = (this.#options.webSocket ?? globalThis.WebSocket) as typeof WebSocket | undefined;
    if (!WebSocketClass) throw new Error("no WebSocket here: give the class of `ws` as the option webSocket");
    return new Link(
      WebSocketClass,
      this.#address,
      () => {
        const { seat } = this.#way;
        const { usableTick = 0, heard = 0 } = this.#stay ?? {};
        this.#write(encodeHello(seat === null ? this.#hello : returnHello(this.#hello, seat, usableTick, heard)));
      },
      (bytes) => this.#hear(bytes),
      (code, reason) => {
        const now = this.#clock();
        const why = this.joined ? "the connection was lost" : `no connection to ${this.#address}`;
        this.#tellDropped(this.#way.end(now, code, reason || why));
        this.#schedule(now);
      },
    );
  }

  #leave(code: number, reason: string): void {
    this.#way.leave(code, reason);
    this.#tellDropped(null);
  }

  /** Tells that the connection is lost, or that it is over. */
  #tellDropped(dropped: SessionEvent | null): void {
    if (dropped && this.joined) this.emit(dropped);
    const { ended } = this.#way;
    const kept = this.#resumed;
    if (this.closed || !ended) return;
    const { code, reason } = ended;
    if (kept && !worthTrying(code)) {
      this.#join(null);
      return;
    }
    if (kept) this.#keeper.put(kept); // nobody has refused it
    this.joined = false;
    this.#tellEarly();
    if (this.closed) return; // by who heard that
    this.closeCode = code;
    this.closeReason = reason;
    this.#alarm.stop();
    this.#unwatch?.();
    this.#stay?.requests.failAll(new DisconnectedError(code, reason));
    this.emit(ended);
    this.#settle?.(new ConnectError(code, reason));
  }

  // -- the page, and time

  get #isPaused(): boolean {
    return !!this.#page?.hidden && this.#options.whenHidden !== "play";
  }

  /** The page is seen again, or not any more, or has a network again, or goes. */
  #look(type: PageEvent): void {
    const now = this.#clock();
    const paused = this.#isPaused;
    const way = this.#way;
    const { silence, seat } = way;
    const stay = this.#stay;
    if (type === "pagehide") {
      if (seat !== null && stay) this.#keeper.put([stay.bytes, seat, stay.heard]);
      return;
    }
    if (type === "pageshow") this.#keeper.take(); // the page is here: nobody else may come back to its seat
    way.hurry(now);
    silence.note(now, paused || type !== "online");
    // Whether a connection on which nothing need come outlived the change is not to be seen: another one is made.
    const suspicious = type === "online" && (silence.patience === Infinity || silence.quiet > SUSPICIOUS_SECONDS);
    if (suspicious && this.joined && seat !== null && !way.active) {
      this.#tellDropped(way.giveUp(now, "the network has changed"));
    }
    if (stay) stay.paused = paused;
    if (!paused) stay?.acknowledge(now);
    this.#step();
  }

  /** Does what is due. */
  #step(): void {
    const now = this.#clock();
    this.#tellDropped(this.#way.check(now));
    if (!this.closed) this.#stay?.step(now);
    this.#schedule(now);
  }

  /** Sees to it that `#step` is called when something is due. */
  #schedule(now: number): void {
    if (this.closed) return;
    const asleep = this.#isPaused && this.joined && this.connected;
    this.#alarm.set(Math.min(asleep ? Infinity : this.#way.nextCheck(now), this.#stay?.nextDue(now) ?? Infinity), now);
  }

  // -- messages

  #write(bytes: Uint8Array): boolean {
    const sent = this.#way.link.write(bytes);
    if (sent) {
      this.#bytesOut += bytes.length;
      this.#show("out", bytes);
    }
    return sent;
  }

  #show(direction: "in" | "out", bytes: Uint8Array): void {
    for (const observer of this.#observers) this.call(observer, direction, bytes, this.#clock());
  }

  #hear(bytes: Uint8Array): void {
    const now = this.#clock();
    this.#bytesIn += bytes.length;
    this.#show("in", bytes);
    if (this.closed) return; // an observer has closed the session
    this.#way.silence.note(now, true);
    try {
      this.#take(readMessage(bytes), bytes, now);
    } catch (error) {
      if (!(error instanceof ProtocolError)) report(error);
      const { code = CloseCode.UNDECODABLE, reason = String(error) } = error as Partial<ProtocolError>;
      this.#leave(code, reason);
    }
    this.#step();
  }

  #take(message: ServerMessage, bytes: Uint8Array, now: number): void {
    const { type } = message;
    const stay = this.#stay;
    const wrong = (reason: string): never => {
      throw new ProtocolError(CloseCode.PROTOCOL_ERROR, reason);
    };
    if (type === "welcome") {
      if (stay) wrong("a second welcome");
      this.#enter(message.welcome, bytes);
    } else if (type === "returned") {
      const secondsAway = stay?.takeReturned(message.returned, now) ?? wrong("no seat was asked for");
      this.#resumed = null;
      if (this.joined) this.emit({ type, tick: message.returned.tick, secondsAway });
    } else if (type !== "skipped") {
      if (!stay || this.#way.active) throw wrong("first comes the answer to the hello");
      if (type === "message") {
        stay.heard++;
        this.#tell({ type, kind: message.name, payload: message.payload });
      } else if (type === "reply") {
        this.#tell(stay.takeReply(message.number, message.code, message.payload));
      } else {
        const event = stay.takeFrame(message.frame, now);
        if (event && !this.joined) this.#begin(stay, now);
        if (event) this.emit(event);
      }
    }
  }

  #enter(welcome: Welcome, bytes: Uint8Array): void {
    const { player, room, roomId, tickRate, schema, seatSeconds, spectator } = welcome;
    Object.assign(this, { player, room, roomId, tickRate, spectator, schema });
    const keeps = this.#options.reconnect !== false && seatSeconds;
    this.#way.welcomed(keeps ? welcome.seat : null, seatSeconds, spectator);
    this.#stay = new Stay(welcome, bytes, this.#way, (message) => this.#write(message));
    this.#stay.paused = this.#isPaused;
  }

  /** The first frame has come. */
  #begin({ replica }: Stay, now: number): void {
    const { player, room, roomId, tickRate } = this;
    const way = this.#way;
    this.world = replica as unknown as World<W>;
    this.joined = way.joined = true;
    if (tickRate) way.expectFrames(now, patienceSeconds(1 / tickRate, way.seat !== null));
    this.checkNames();
    this.emit({ type: "joined", player, room, roomId, tick: replica.tick });
    const settle = this.#settle;
    this.#settle = null;
    settle?.(null);
    this.#tellEarly(settle ? PROMISE_STEPS : 0);
  }

  /** Tells what the room said; the first event is always "joined". */
  #tell(event: SessionEvent | null): void {
    if (!event) return;
    if (this.#early) this.#early.push(event);
    else this.emit(event);
  }

  /** Whoever waits for `connect` gets its session some promises later, and should not miss what the room said first. */
  async #tellEarly(promises = 0): Promise<void> {
    while (promises-- > 0) await null;
    const early = this.#early ?? [];
    this.#early = null;
    for (const event of early) this.emit(event);
  }
}
