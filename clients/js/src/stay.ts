// One player's stay in a room, from its welcome on, over all its connections: frames are taken in, counted and measured;
// inputs, acknowledgements, messages and requests leave when they are due, and again after the player was away.

import { CloseCode, VANISHED } from "./closing.js";
import { DisconnectedError } from "./errors.js";
import { type FrameEvent, frameEvent, type RefusedEvent } from "./events.js";
import { InputPacer } from "./inputs.js";
import { Outbox } from "./outbox.js";
import { Requests, reasonOf } from "./requests.js";
import { clockValue, RoundTrip } from "./timing.js";
import type { Way } from "./way.js";
import { ProtocolError } from "./wire/errors.js";
import type { Frame } from "./wire/frame.js";
import {
  encodeAcknowledge,
  encodeInput,
  encodeMessage,
  encodeRequest,
  encodeResync,
  type Returned,
  type Welcome,
} from "./wire/messages.js";
import { Replica } from "./wire/replica.js";

/** The period of a room that ticks when something happens, in seconds: so often it does at most. */
const EVENT_PERIOD = 1 / 60;
/** Whose inputs are at most so far apart, in periods, sends them all the time: so long the next one is waited for. */
const INPUT_PERIODS = 1.5;
/** How soon what waits for the network, or to be sent again, is looked at again, in seconds. */
const AGAIN_SECONDS = 0.05;

/** What a session has from the welcome on. Times are seconds of the caller's clock. */
export class Stay {
  readonly replica: Replica;
  readonly inputs: InputPacer;
  readonly outbox: Outbox;
  /** Those that are not answered. */
  readonly requests = new Requests();
  /** Measured since the connection was made. */
  roundTrip = new RoundTrip();
  /** How many messages and replies of this seat have come. */
  heard = 0;
  /** The page is hidden: frames are not acknowledged, so that the server soon stops sending them. */
  paused = false;
  /** See `Stats`. */
  readonly counts = { frames: 0, framesSkipped: 0, coalescedTicks: 0, windowTicks: 0 };
  /** When the newest frame was applied, null before the first. */
  newestAt: number | null = null;
  readonly #way: Way;
  readonly #write: (bytes: Uint8Array) => boolean;
  readonly #messageBytes: number;
  #acknowledged = 0;
  #acknowledgedAt = -Infinity;
  #asked = false; // for a full frame
  #isBack = false; // and no frame has come since

  /**
   * @param bytes the welcome as it came
   * @param way with the seat that the welcome gave, if it did
   * @param write sends a message; false when it was not taken
   */
  constructor(
    { schema, player, messageBytes, tickRate }: Welcome,
    readonly bytes: Uint8Array,
    way: Way,
    write: (bytes: Uint8Array) => boolean,
  ) {
    const keeps = way.seat !== null;
    this.replica = new Replica(schema, player);
    this.inputs = new InputPacer(schema.input, tickRate ? 1 / tickRate : EVENT_PERIOD, keeps);
    this.outbox = new Outbox(keeps);
    this.#messageBytes = messageBytes;
    this.#way = way;
    this.#write = write;
  }

  /** The tick from which a delta may start; 0 when only a full frame will do. */
  get usableTick(): number {
    return this.#asked ? 0 : this.replica.tick;
  }

  // -- to the server

  /** Sends the input that waits whatever the pace; true when none waits any more. */
  flush(now: number): boolean {
    const { inputs } = this;
    if (!inputs.waiting) return true;
    const tick = this.paused ? this.#acknowledged : this.replica.tick;
    const [sequence, values] = inputs.peek();
    if (!this.#canSend || !this.#write(encodeInput(sequence, 0, tick, clockValue(now), values))) return false;
    inputs.sent(now);
    this.#acknowledged = tick;
    return true;
  }

  /** Says how far the world is here, unless that was said. */
  acknowledge(now: number): void {
    const { tick } = this.replica;
    if (tick <= this.#acknowledged || !this.#canSend) return;
    if (!this.#write(encodeAcknowledge(tick, clockValue(now)))) return;
    this.#acknowledged = tick;
    this.#acknowledgedAt = now;
  }

  /** Says something to the room; see `Session.send`. */
  send(kind: string, payload: unknown, now: number): boolean {
    return this.#say(kind, encodeMessage(kind, payload, this.outbox.number + 1), now);
  }

  /** Asks the room for something; see `Session.request`. */
  ask(kind: string, payload: unknown, now: number, deadline: number): Promise<unknown> {
    const number = this.outbox.number + 1;
    if (this.#say(kind, encodeRequest(number, kind, payload), now)) return this.requests.add(kind, number, deadline);
    throw new DisconnectedError(VANISHED, "too much is unsent");
  }

  /** Does what is due. */
  step(now: number): void {
    if (!this.#way.active) this.#sendWaiting(now);
    if (now >= this.#inputAt()) this.flush(now);
    if (now >= this.#acknowledgeAt()) this.acknowledge(now);
    this.requests.expire(now);
  }

  /** When `step` has something to do; Infinity for never. */
  nextDue(now: number): number {
    const { connected } = this.#way;
    const due = connected ? Math.min(this.#inputAt(), this.#acknowledgeAt()) : Infinity;
    const again = connected && this.outbox.waiting ? now + AGAIN_SECONDS : Infinity;
    return Math.min(this.requests.nextDeadline, again, this.#canSend ? due : Math.max(due, now + AGAIN_SECONDS));
  }

  get #canSend(): boolean {
    return this.#way.connected && !this.#way.link.stuck;
  }

  #inputAt(): number {
    return this.inputs.dueAt(this.roundTrip.smoothed);
  }

  /**
   * When what is held must be acknowledged if no input says it before.
   *
   * Whoever sends inputs all the time is about to say it with the next one; a message of its own would be wasted. So would
   * one for each of many frames that come together, after a page was busy: a server closes the link of who sends so many.
   */
  #acknowledgeAt(): number {
    const { interval, lastSent, period } = this.inputs;
    if (this.paused || this.replica.tick <= this.#acknowledged) return Infinity;
    const at = this.#acknowledgedAt + period / 2;
    return interval <= INPUT_PERIODS * period ? Math.max(at, lastSent + INPUT_PERIODS * period) : at;
  }

  #say(kind: string, encoded: Uint8Array, now: number): boolean {
    const { outbox } = this;
    const size = encoded.length;
    if (size > this.#messageBytes) {
      throw new RangeError(`"${kind}" has ${size} bytes; the server takes ${this.#messageBytes}`);
    }
    const waits = !this.#way.connected || outbox.waiting > 0;
    if (waits ? !outbox.hasRoom(size) : !this.#write(encoded)) return false;
    outbox.add(kind, encoded, this.inputs.sequence, waits ? null : clockValue(now));
    return true;
  }

  /** Sends what waits and may be sent; `before` is called with the sequence of the input behind which it was said. */
  #sendWaiting(now: number, before?: (after: number) => void): void {
    for (let kept = this.outbox.nextWaiting(now); kept; kept = this.outbox.nextWaiting(now)) {
      before?.(kept.after);
      if (!this.#write(kept.encoded)) return;
      this.outbox.sentAgain(kept, clockValue(now));
    }
  }

  // -- from the server

  /** A reply has come; what to tell when it refuses something that was no request. */
  takeReply(number: number, code: string | null, payload: unknown): RefusedEvent | null {
    this.heard++;
    this.outbox.received(number);
    if (this.requests.answer(number, code, payload) || code === null) return null;
    return { type: "refused", kind: this.outbox.kindOf(number), number, code, reason: reasonOf(payload) };
  }

  /** The server has given the seat back: sends again what it did not get. How long the player was away, in seconds. */
  takeReturned({ player, seat, seatSeconds, inputs, messages }: Returned, now: number): number {
    if (!this.#way.active || player !== this.replica.player) {
      throw new ProtocolError(CloseCode.PROTOCOL_ERROR, "another seat");
    }
    const away = this.#way.giveBack(now, seat, seatSeconds);
    this.#isBack = true;
    this.roundTrip = new RoundTrip(); // times of the old connection say nothing; what it was asked for comes now
    // Each once and in its order, inputs and messages as they were said.
    const again = this.inputs.cameBack(inputs);
    const sendInputs = (last: number) => {
      for (; again[0]?.[0] <= last; again.shift()) {
        const [sequence, values] = again[0];
        this.#write(encodeInput(sequence, 0, this.replica.tick, clockValue(now), values));
      }
    };
    this.outbox.cameBack(messages, now);
    this.#sendWaiting(now, sendInputs);
    sendInputs(Infinity);
    return away;
  }

  /** The event of a frame, null when it could not be applied; throws when only a new connection would help. */
  takeFrame(frame: Frame, now: number): FrameEvent | null {
    const { header, hash } = frame;
    const { tick, back, sequence, clientTime, window } = header;
    const { replica, counts } = this;
    this.roundTrip.note(header, now);
    counts.windowTicks = window;
    this.inputs.applied = sequence;
    if (clientTime !== null) this.outbox.answered(clientTime);
    let changes: ReturnType<Replica["apply"]>;
    try {
      changes = replica.apply(frame);
    } catch (error) {
      if (!back) throw error;
      counts.framesSkipped++;
      this.#askForFull(null);
      return null;
    }
    this.#asked &&= back > 0;
    counts.frames++;
    counts.coalescedTicks += Math.max(0, back - 1);
    this.newestAt = now;
    if (!replica.check(frame)) this.#askForFull(hash);
    if (this.#isBack) this.#acknowledged = 0; // the server waits for an answer before it forgets an old token
    this.#isBack = false;
    return frameEvent(tick, !back, changes);
  }

  /** Asks once; frames that were on their way before the answer must not make us ask again. */
  #askForFull(expected: number | null): void {
    if (this.#asked) return;
    this.#asked = true;
    const { replica } = this;
    const found = expected === null ? 0 : replica.hash();
    const ask = (digests?: Uint8Array[]) => encodeResync(replica.tick, expected ?? 0, found, digests);
    const report = ask(expected === null ? [] : replica.digests());
    this.#write(report.length > this.#messageBytes ? ask() : report);
  }
}
