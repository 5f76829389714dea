// One player's stay in a room, from its welcome on, over all its connections: what has come and what must go.

import { CloseCode } from "./closing.js";
import type { FrameEvent, RefusedEvent } from "./events.js";
import { InputPacer } from "./inputs.js";
import { Mirror } from "./mirror.js";
import { Steering } from "./steering.js";
import { Talk } from "./talk.js";
import type { Way } from "./way.js";
import { ProtocolError } from "./wire/errors.js";
import type { Frame } from "./wire/frame.js";
import type { Returned, Welcome } from "./wire/messages.js";

/** The period of a room that ticks when something happens, in seconds: so often it does at most. */
const EVENT_PERIOD = 1 / 60;
/** How soon a network that is stuck is looked at again, in seconds. */
const STUCK_SECONDS = 0.05;

/** What a session has from the welcome on. */
export class Stay {
  readonly mirror: Mirror;
  readonly inputs: InputPacer;
  readonly steering: Steering;
  readonly talk: Talk;
  /** How many messages and replies of this seat have come. */
  heard = 0;
  #isBack = false; // and no frame has come since

  /**
   * @param bytes the welcome as it came
   * @param way with the seat that the welcome gave, if it did
   * @param write sends a message; false when it was not taken
   */
  constructor(
    welcome: Welcome,
    readonly bytes: Uint8Array,
    readonly way: Way,
    readonly write: (bytes: Uint8Array) => boolean,
  ) {
    const { schema, player, messageBytes, tickRate } = welcome;
    const keeps = way.seat !== null;
    this.mirror = new Mirror(schema, player, messageBytes);
    this.inputs = new InputPacer(schema.input, tickRate ? 1 / tickRate : EVENT_PERIOD, keeps);
    this.steering = new Steering(this.inputs, this.mirror, write);
    this.talk = new Talk(messageBytes, keeps, write, () => way.returning.active || !way.link?.open);
  }

  /** Whether what is said now leaves at once. */
  get canSend(): boolean {
    const { link, returning, ended } = this.way;
    return !ended && !returning.active && !!link && !link.stuck;
  }

  /** Says something to the room; see `Session.send`. */
  send(kind: string, payload: unknown, now: number): boolean {
    return this.talk.send(kind, payload, this.inputs.sequence, now);
  }

  /** Asks the room for something; see `Session.request`. */
  ask(kind: string, payload: unknown, now: number, deadline: number): Promise<unknown> {
    return this.talk.ask(kind, payload, this.inputs.sequence, now, deadline);
  }

  /** Sends the input that waits; see `Session.flushInput`. */
  flush(now: number): boolean {
    return !this.inputs.waiting || (this.canSend && this.steering.flush(now));
  }

  /** Does what is due. */
  step(now: number): void {
    if (!this.way.returning.active) this.talk.sendWaiting(now);
    if (this.canSend) this.steering.sendDue(now);
    this.talk.requests.expire(now);
  }

  /** When `step` has something to do, in seconds of the clock; Infinity for never. */
  nextDue(now: number): number {
    const due = this.way.connected ? this.steering.nextDue() : Infinity;
    return Math.min(this.talk.nextDeadline(now), this.canSend ? due : Math.max(due, now + STUCK_SECONDS));
  }

  /** A reply has come; what to tell when it refuses something that was no request. */
  takeReply(number: number, code: string | null, payload: unknown): RefusedEvent | null {
    this.heard++;
    return this.talk.takeReply(number, code, payload);
  }

  /** The server has given the seat back: sends again what it did not get. How long the player was away, in seconds. */
  takeReturned({ player, seat, seatSeconds, inputs, messages }: Returned, now: number): number {
    const { way, mirror, steering, talk } = this;
    if (!way.returning.active || player !== mirror.replica.player) {
      throw new ProtocolError(CloseCode.PROTOCOL_ERROR, "this seat was not asked for");
    }
    const away = way.returned(now, seat, seatSeconds);
    this.#isBack = true;
    mirror.cameBack();
    // Each once and in its order, inputs and messages as they were said.
    const sendInputs = steering.cameBack(inputs);
    talk.outbox.cameBack(messages, now);
    talk.sendWaiting(now, (after) => sendInputs(now, after));
    sendInputs(now, Infinity);
    return away;
  }

  /** The event of a frame, null when it could not be applied; ProtocolError when only a new connection would help. */
  takeFrame(frame: Frame, now: number): FrameEvent | null {
    const { mirror } = this;
    const event = mirror.take(frame, now);
    const { sequence, clientTime } = frame.header;
    this.inputs.applied = sequence;
    if (clientTime !== null) this.talk.outbox.answered(clientTime);
    if (mirror.question) this.write(mirror.question);
    if (event && this.#isBack) {
      this.#isBack = false;
      this.steering.answerAnew();
    }
    return event;
  }
}
