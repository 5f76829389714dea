// The mirror of a room's world: takes frames, counts and measures them, and knows when it is out of step.

import { type FrameEvent, frameEvent } from "./events.js";
import { RoundTrip } from "./timing.js";
import { BaselineError, ProtocolError } from "./wire/errors.js";
import type { Frame } from "./wire/frame.js";
import { encodeResync } from "./wire/messages.js";
import { Replica } from "./wire/replica.js";
import type { Schema } from "./wire/schema.js";

/** What a session makes of the frames of its room. */
export class Mirror {
  readonly replica: Replica;
  /** The tick that is held, 0 before the first frame. */
  tick = 0;
  /** A message that asks for a full frame, when the newest frame made one necessary; null usually. */
  question: Uint8Array | null = null;
  /** Of these four see `Stats`. */
  frames = 0;
  skipped = 0;
  coalesced = 0;
  window = 0;
  /** When the newest frame was applied, in seconds of the caller's clock; null before the first. */
  newestAt: number | null = null;
  /** Measured since the connection was made. */
  roundTrip = new RoundTrip();
  #askedForFull = false;

  /** @param messageBytes largest message that the server takes */
  constructor(
    schema: Schema,
    player: number,
    readonly messageBytes: number,
  ) {
    this.replica = new Replica(schema, player);
  }

  /** The tick from which a delta may start; 0 when only a full frame will do. */
  get usableTick(): number {
    return this.#askedForFull ? 0 : this.tick;
  }

  /** There is a new connection. What was asked for on the old one need not come, and its times say nothing. */
  cameBack(): void {
    this.#askedForFull = false;
    this.roundTrip = new RoundTrip();
  }

  /**
   * Applies a frame at `now` seconds.
   *
   * @returns the event to tell, null when the frame could not be applied
   * @throws ProtocolError it is a full frame, and malformed
   */
  take(frame: Frame, now: number): FrameEvent | null {
    const { header, hash } = frame;
    const full = header.back === 0;
    this.question = null;
    this.roundTrip.note(header, now);
    this.window = header.window;
    const { replica } = this;
    let changes: ReturnType<Replica["apply"]>;
    try {
      changes = replica.apply(frame);
    } catch (error) {
      if (full || !(error instanceof BaselineError || error instanceof ProtocolError)) throw error;
      this.skipped++;
      this.#askForFull(null);
      return null;
    }
    if (full) this.#askedForFull = false;
    this.tick = header.tick;
    this.frames++;
    this.coalesced += Math.max(0, header.back - 1);
    this.newestAt = now;
    if (!replica.check(frame)) this.#askForFull(hash);
    return frameEvent(header.tick, full, changes);
  }

  /** Asks once; frames that were on their way before the answer must not make us ask again. */
  #askForFull(expected: number | null): void {
    if (this.#askedForFull) return;
    this.#askedForFull = true;
    const { replica, tick } = this;
    if (expected === null) {
      this.question = encodeResync(tick, 0, 0);
      return;
    }
    const found = replica.hash();
    const report = encodeResync(tick, expected, found, replica.digests());
    this.question = report.length <= this.messageBytes ? report : encodeResync(tick, expected, found);
  }
}
