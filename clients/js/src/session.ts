// A player's side of one room: joins, keeps the world equal to the server's, sends inputs, and comes back.

import { Alarm } from "./alarm.js";
import { Callbacks } from "./callbacks.js";
import { CloseCode, VANISHED, worthTrying } from "./closing.js";
import { ConnectError, DisconnectedError, InputError } from "./errors.js";
import { call, report, type SessionEvent } from "./events.js";
import { type JoinOptions, makeHello, returnHello } from "./hello.js";
import { type KeptSeat, SeatKeeper, type SeatStorage } from "./keeping.js";
import { Link } from "./link.js";
import { REQUEST_SECONDS } from "./requests.js";
import { patienceSeconds } from "./silence.js";
import { measure, type Stats } from "./stats.js";
import { Stay } from "./stay.js";
import { socketAddress } from "./target.js";
import { type Page, thisPage } from "./visibility.js";
import { Way } from "./way.js";
import { ProtocolError } from "./wire/errors.js";
import { encodeHello, type HelloFields, readMessage, type Welcome } from "./wire/messages.js";
import type { Entities, Replica, World } from "./wire/replica.js";
import type { Schema } from "./wire/schema.js";
import type { Row } from "./wire/table.js";

/** How long joining may take, in seconds: connection, handshake and first frame together. */
const JOIN_SECONDS = 10;
/** With so much silence before the network came back, a connection did not outlive that. In seconds. */
const SUSPICIOUS_SECONDS = 0.5;
/** So many steps of promises a program may take until it has got its session from `connect`, and listens. */
const PROMISE_STEPS = 20;

/** How to join, and how to stay. */
export interface SessionOptions extends JoinOptions {
  /** Come back by itself when the connection is lost and the room keeps the player's seat; true unless said. */
  reconnect?: boolean;
  /** Seconds until joining is given up; 10 unless said. */
  joinSeconds?: number;
  /** "pause": while the page is hidden frames are not acknowledged, so that the server soon stops sending, and one frame
   * makes the world current when the page is seen again. "play": go on as if it were seen. */
  whenHidden?: "pause" | "play";
  /** A name under which the seat is left in the storage when the page goes, so that the page that is loaded next comes
   * back to it. `close` gives it up. */
  keepSeat?: string;
  /** Where; `sessionStorage` unless said. */
  storage?: SeatStorage;
  /** The WebSocket class; Node 20 has none: give that of the package `ws`. */
  webSocket?: unknown;
  /** Seconds of a clock that never goes back. */
  clock?: () => number;
  /** Gives numbers from 0 to below 1, by which attempts to come back are spread. */
  chance?: () => number;
  /** What the session looks at to know whether it is seen; another one for tests, null for none. */
  page?: Page | null;
}

/** Sees every WebSocket message: "in" before it is taken in, "out" after it was sent; `seconds` of the session's clock. */
export type Observer = (direction: "in" | "out", bytes: Uint8Array, seconds: number) => void;

/**
 * One player in one room; made by `connect` and `open`.
 *
 * Nothing here throws because of the server or the network: that is told by events, `closed` and `closeReason`. Frames
 * are applied when they come, and callbacks run right then.
 */
export class Session<W extends Entities = Entities> extends Callbacks<W> {
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
  readonly #unwatch: (() => void)[] = [];
  readonly #keeper: SeatKeeper;
  #observers: readonly Observer[] = [];
  #settle: ((error: ConnectError | null) => void) | null;
  #way: Way;
  #stay: Stay | null = null; // from the welcome on
  #resumed: KeptSeat | null = null; // the seat of the page before this one, until the server has answered
  #early: SessionEvent[] | null = []; // what came before there was somebody to be told
  #bytesIn = 0;
  #bytesOut = 0;
  readonly #alarm = new Alarm(() => {
    this.#way.silence.note(this.#clock(), this.#isPaused);
    this.#step();
  });

  /** @param settle is called once when the player is in the room (null), or is not to be */
  constructor(
    target: string,
    options: SessionOptions = {},
    settle: ((error: ConnectError | null) => void) | null = null,
  ) {
    super();
    this.#options = options;
    this.#settle = settle;
    this.#address = socketAddress(target);
    this.#hello = makeHello(options);
    encodeHello(this.#hello); // so that what cannot travel is an error of the line that gave it
    this.#clock = options.clock ?? (() => performance.now() / 1000);
    this.#page = options.page === undefined ? thisPage() : options.page;
    const { method, roomId, filter, invite, spectate, seat } = this.#hello;
    const wish = JSON.stringify([this.#address, method, roomId, filter, invite, spectate, seat]);
    this.#keeper = new SeatKeeper(options.storage, options.keepSeat, wish);
    const now = this.#clock();
    this.#way = this.#makeWay(now);
    this.#resume(now);
    this.#way.link = this.#makeLink();
    this.#watch();
    this.#schedule(now);
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
    return this.joined && this.#way.returning.active;
  }

  /** Whether it is over: nothing comes or goes any more. */
  get closed(): boolean {
    return this.#way.ended !== null;
  }

  /** Why it is over, as in "disconnected"; 0 before. */
  get closeCode(): number {
    return this.#way.ended?.code ?? 0;
  }

  /** Why it is over, in words; empty before. */
  get closeReason(): string {
    return this.#way.ended?.reason ?? "";
  }

  /** The smoothed round trip in seconds, null while it is not known. */
  get rtt(): number | null {
    return this.#stay?.mirror.roundTrip.smoothed ?? null;
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
    if (this.spectator) throw new InputError("spectators only watch: join without spectate to play");
    this.#stay?.inputs.offer(values);
    this.#step();
  }

  /**
   * Sends the merged input that waits, whatever the pace; true when none waits any more.
   *
   * The server queues what comes faster than its ticks and drops what is beyond its queue, so this is for rare use.
   */
  flushInput(): boolean {
    return !this.joined || !this.#stay || this.#stay.flush(this.#clock());
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
  async request(kind: string, payload: unknown = null, options: { timeout?: number } = {}): Promise<any> {
    if (!this.joined || !this.#stay) {
      const reason = this.closeReason || "the player is not in the room yet";
      throw new DisconnectedError(this.closeCode || VANISHED, reason);
    }
    const now = this.#clock();
    const answer = this.#stay.ask(kind, payload, now, now + (options.timeout ?? REQUEST_SECONDS));
    this.#schedule(now);
    return answer;
  }

  /** Tells the server how far the world is here, unless an input has said it; the session does so by itself. */
  acknowledge(): void {
    if (this.#stay?.canSend) this.#stay.steering.acknowledge(this.#clock());
  }

  /** For tools: calls with every WebSocket message; the function that is given ends it. Do not keep or write the bytes. */
  observe(observer: Observer): () => void {
    this.#observers = [...this.#observers, observer];
    return () => {
      this.#observers = this.#observers.filter((other) => other !== observer);
    };
  }

  /** Leaves the room for good, so that the seat is free at once. Calling it again changes nothing. */
  close(code: number = CloseCode.NORMAL, reason = "the player left"): void {
    this.#resumed = null;
    this.#leave(code, reason);
  }

  // -- connecting and ending

  #makeWay(now: number): Way {
    const { joinSeconds = JOIN_SECONDS, chance = Math.random } = this.#options;
    return new Way(() => this.#makeLink(), now, joinSeconds, chance);
  }

  #makeLink(): Link {
    const WebSocketClass = (this.#options.webSocket ?? globalThis.WebSocket) as typeof WebSocket | undefined;
    if (!WebSocketClass) throw new Error("there is no WebSocket here: give the option webSocket, the class of `ws`");
    return new Link(WebSocketClass, this.#address, {
      linkOpened: () => this.#sayHello(),
      linkHeard: (bytes) => this.#hear(bytes),
      linkFailed: ({ code, reason }) => this.#leave(code, reason),
      linkClosed: (code, reason) => {
        const why =
          reason || (code === VANISHED ? `no connection to ${this.#address}` : `the server closed with ${code}`);
        const now = this.#clock();
        this.#tellDropped(this.#way.lost(now, this.joined, code, why));
        this.#schedule(now);
      },
    });
  }

  #sayHello(): void {
    const { seat } = this.#way;
    const { mirror, heard = 0 } = this.#stay ?? {};
    this.#write(
      encodeHello(seat === null ? this.#hello : returnHello(this.#hello, seat, mirror?.usableTick ?? 0, heard)),
    );
  }

  /** Begins with the seat that the page before this one has left, if it did. */
  #resume(now: number): void {
    const kept = this.#keeper.take();
    if (!kept) return;
    try {
      this.#take(kept.welcome, now);
      if (this.#stay) this.#stay.heard = kept.heard;
      this.#resumed = kept;
      this.#way.resume(now, kept.seat);
    } catch {
      this.#joinAnew(now); // it is of an earlier version of this page
    }
  }

  /** Forgets the seat of the page before this one. */
  #joinAnew(now: number): void {
    this.#resumed = this.#stay = null;
    this.#way = this.#makeWay(now);
  }

  #leave(code: number, reason: string): void {
    this.#way.leave(code, reason);
    this.#end();
  }

  #tellDropped(dropped: SessionEvent | null): void {
    if (dropped && this.joined) this.emit(dropped);
    if (this.#way.ended) this.#end();
  }

  #end(): void {
    const { ended } = this.#way;
    if (this.isOver || !ended) return;
    const { code, reason } = ended;
    if (this.#resumed && !worthTrying(code)) {
      const now = this.#clock();
      this.#joinAnew(now);
      this.#way.link = this.#makeLink();
      return;
    }
    if (this.#resumed) this.#keeper.put(this.#resumed); // nobody has refused it
    this.isOver = true;
    this.joined = false;
    this.#alarm.stop();
    for (const stop of this.#unwatch) stop();
    this.#stay?.talk.requests.failAll(new DisconnectedError(code, reason));
    this.#tellEarly();
    this.emit(ended);
    this.#settle?.(new ConnectError(code, reason));
    this.#settle = null;
  }

  // -- the page, and time

  #watch(): void {
    const page = this.#page;
    const listen = (type: Parameters<Page["listen"]>[0], callback: () => void) => {
      if (page) this.#unwatch.push(page.listen(type, callback));
    };
    listen("visibilitychange", () => this.#look());
    listen("online", () => this.#networkIsBack());
    listen("pageshow", () => {
      this.#keeper.take(); // the page is here: nobody else may come back to its seat
      this.#look();
    });
    listen("pagehide", () => {
      const { seat } = this.#way;
      const stay = this.#stay;
      if (seat !== null && stay) this.#keeper.put({ welcome: stay.bytes, seat, heard: stay.heard });
    });
  }

  get #isPaused(): boolean {
    return !!this.#page?.hidden && this.#options.whenHidden !== "play";
  }

  /** The page is seen again, or not any more. */
  #look(): void {
    const now = this.#clock();
    if (this.#stay) this.#stay.steering.paused = this.#isPaused;
    this.#way.silence.note(now, true);
    if (!this.#page?.hidden) {
      this.#way.returning.hurry(now);
      this.acknowledge();
    }
    this.#step();
  }

  #networkIsBack(): void {
    const now = this.#clock();
    const { silence, returning, seat } = this.#way;
    returning.hurry(now);
    silence.note(now, this.#isPaused);
    const suspicious = silence.patience === Infinity || silence.quiet > SUSPICIOUS_SECONDS;
    if (this.joined && seat !== null && !returning.active && suspicious) {
      this.#tellDropped(this.#way.giveUp(now, true, "the network has changed"));
    }
    this.#step();
  }

  /** Does what is due. */
  #step(): void {
    const now = this.#clock();
    this.#tellDropped(this.#way.check(now, this.joined));
    if (!this.isOver) this.#stay?.step(now);
    this.#schedule(now);
  }

  /** Sees to it that `#step` is called when something is due. */
  #schedule(now: number): void {
    if (this.isOver) return;
    const asleep = this.#isPaused && this.joined && this.connected;
    const check = asleep ? Infinity : this.#way.nextCheck(now, this.joined);
    this.#alarm.set(Math.min(check, this.#stay?.nextDue(now) ?? Infinity), now);
  }

  // -- messages of the server

  #hear(bytes: Uint8Array): void {
    const now = this.#clock();
    this.#bytesIn += bytes.length;
    this.#show("in", bytes, now);
    this.#way.silence.note(now, true);
    try {
      this.#take(bytes, now);
    } catch (error) {
      const isProtocol = error instanceof ProtocolError;
      if (!isProtocol) report(error);
      this.#leave(isProtocol ? error.code : CloseCode.UNDECODABLE, isProtocol ? error.reason : String(error));
    }
    this.#step();
  }

  #take(bytes: Uint8Array, now: number): void {
    const message = readMessage(bytes);
    const { type } = message;
    if (this.#way.returning.active && (type === "frame" || type === "message" || type === "reply")) {
      throw new ProtocolError(CloseCode.PROTOCOL_ERROR, "the server did not say whether the seat is given back");
    }
    const stay = this.#stay;
    if (type === "skipped") return;
    if (type === "welcome") {
      this.#takeWelcome(message.welcome, bytes);
      return;
    }
    if (!stay) throw new ProtocolError(CloseCode.PROTOCOL_ERROR, "the welcome did not come first");
    if (type === "frame") {
      const event = stay.takeFrame(message.frame, now);
      if (event && !this.joined) this.#join(stay.mirror.replica, now);
      if (event) this.emit(event);
    } else if (type === "message") {
      stay.heard++;
      this.#tell({ type, kind: message.name, payload: message.payload });
    } else if (type === "reply") {
      const refused = stay.takeReply(message.number, message.code, message.payload);
      if (refused) this.#tell(refused);
    } else {
      const secondsAway = stay.takeReturned(message.returned, now);
      this.#resumed = null;
      if (this.joined) this.emit({ type: "returned", tick: message.returned.tick, secondsAway });
    }
  }

  #takeWelcome(welcome: Welcome, bytes: Uint8Array): void {
    if (this.#stay) throw new ProtocolError(CloseCode.PROTOCOL_ERROR, "a second welcome");
    const { player, room, roomId, tickRate, schema, seatSeconds, spectator } = welcome;
    Object.assign(this, { player, room, roomId, tickRate, spectator, schema });
    const seat = this.#options.reconnect !== false && seatSeconds ? welcome.seat : null;
    this.#way.welcomed(seat, seatSeconds, spectator);
    this.#stay = new Stay(welcome, bytes, this.#way, (message) => this.#write(message));
    this.#stay.steering.paused = this.#isPaused;
  }

  #join(replica: Replica, now: number): void {
    this.world = replica as unknown as World<W>;
    this.joined = true;
    const { player, room, roomId, tickRate, tick } = this;
    if (tickRate) this.#way.expectFrames(now, patienceSeconds(1 / tickRate, this.#way.seat !== null));
    this.checkNames();
    this.emit({ type: "joined", player, room, roomId, tick });
    const settle = this.#settle;
    this.#settle = null;
    settle?.(null);
    if (settle) void this.#tellEarlySoon();
    else this.#tellEarly();
  }

  /** Tells what the room said; the first event is always "joined". */
  #tell(event: SessionEvent): void {
    if (this.#early) this.#early.push(event);
    else this.emit(event);
  }

  #tellEarly(): void {
    const early = this.#early ?? [];
    this.#early = null;
    for (const event of early) this.emit(event);
  }

  /** Whoever waits for `connect` gets its session some promises later, and should not miss what the room said first. */
  async #tellEarlySoon(): Promise<void> {
    for (let step = 0; step < PROMISE_STEPS; step++) await null;
    this.#tellEarly();
  }

  // -- messages to the server

  #write(bytes: Uint8Array): boolean {
    const sent = !!this.#way.link?.write(bytes);
    if (sent) {
      this.#bytesOut += bytes.length;
      this.#show("out", bytes, this.#clock());
    }
    return sent;
  }

  #show(direction: "in" | "out", bytes: Uint8Array, now: number): void {
    for (const observer of this.#observers) call(observer, direction, bytes, now);
  }
}
