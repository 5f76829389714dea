// What a player wants to do, on its way to the server: checked, merged and paced. No socket, no clock.
//
// A frame loop runs faster than the server ticks, so it offers more inputs than the server applies. Between two that
// are sent, offered ones are merged: a bool is true if it was true in one of them, so that a short key press is not
// lost; any other field takes the latest value.
//
// Pacing. Inputs leave once per tick period on average, never two within half a period. That alone would not do: a
// client's clock that runs a little faster than the server's would fill the server's queue, and every later input would
// be applied late. So an input also waits while more of them are unapplied than the round trip explains.

import { InputError } from "./errors.js";
import type { InputField, InputSchema } from "./wire/schema.js";

/** Unapplied inputs that are always in order, whatever the round trip: one on its way, one that waits for its tick. */
const LEAST_WINDOW = 2;
/** The window while the round trip is not known yet. */
const FIRST_WINDOW = 4;
/** The newest inputs, which are kept to be sent again when the player comes back; no network has more on its way. */
const MOST_KEPT = 64;
/** However many inputs are unapplied, one is sent after so long, in seconds. */
const LONGEST_WAIT = 0.5;

/** An input that has left: its sequence, and its values in the order of the schema's fields. */
export type SentInput = readonly [sequence: number, values: unknown[]];

/** The inputs of one player. */
export class InputPacer {
  /** Of the newest input that was sent, 0 for none. */
  sequence = 0;
  /** Sequence of the newest input that the server has applied. */
  applied = 0;
  /** When the newest was sent, in seconds of the caller's clock. */
  lastSent = -Infinity;
  /** How long after the one before that was, in seconds; 0 before there are two. */
  interval = 0;
  /** Whether an input waits to be sent. */
  waiting = false;
  #due = -Infinity;
  #merged: unknown[] = []; // without those that nobody has named
  #kept: SentInput[] = [];

  /**
   * @param schema the room's input, null for a room without
   * @param period seconds per tick
   * @param keeps whether inputs are kept to be sent again: there is a seat to come back to
   */
  constructor(
    readonly schema: InputSchema | null,
    readonly period: number,
    readonly keeps = false,
  ) {}

  /**
   * Merges `values` into the next input; a field that no merged call named has its default.
   *
   * @throws InputError names the field and what it takes; nothing was merged
   */
  offer(values: Record<string, unknown>): void {
    const schema = this.schema;
    if (!schema) throw new InputError("this room takes no inputs");
    const checked = Object.entries(values).map(([name, value]) => {
      const index = schema.fields.findIndex((field) => field.name === name);
      if (index < 0) {
        const names = schema.fields.map((field) => field.name).join(", ");
        throw new InputError(`${schema.name} has no field "${name}"; it has ${names}`);
      }
      checkValue(`${schema.name}.${name}`, schema.fields[index], value);
      return [index, value] as const;
    });
    this.waiting = true;
    for (const [index, value] of checked) {
      // A bool that was true stays true, one that is false for the first time is false.
      if (value !== false || this.#merged[index] === undefined) this.#merged[index] = value;
    }
  }

  /** When what waits may leave, in seconds of the clock; Infinity when nothing waits. `roundTrip` in seconds. */
  dueAt(roundTrip: number | null): number {
    if (!this.waiting) return Infinity;
    const half = this.period / 2; // so early may one be: frames that it answers do not come like clockwork
    const at = Math.max(this.#due, this.lastSent + this.period) - half;
    const window = roundTrip === null ? FIRST_WINDOW : Math.max(LEAST_WINDOW, Math.ceil(roundTrip / this.period) + 1);
    return this.sequence - this.applied < window ? at : Math.max(at, this.lastSent + LONGEST_WAIT);
  }

  /** The input that waits; call `sent` when it has left. */
  peek(): SentInput {
    const values = this.schema?.fields.map((field, index) => this.#merged[index] ?? field.default) ?? [];
    return [this.sequence + 1, values];
  }

  /** The input that waited has left at `now` seconds. */
  sent(now: number): void {
    if (this.sequence) this.interval = now - this.lastSent;
    if (this.keeps) this.#kept.push(this.peek());
    this.#merged = [];
    if (this.#kept.length > MOST_KEPT) this.#kept.shift();
    this.sequence++;
    this.waiting = false;
    this.lastSent = now;
    // What is late by jitter is made up for, up to half a period; what is late by idleness is not.
    const idle = now - this.#due > 2 * this.period;
    this.#due = (idle ? now : Math.max(this.#due, now - this.period / 2)) + this.period;
  }

  /** The player is back at a server that has inputs up to `received`; those that it may not have are given. */
  cameBack(received: number): SentInput[] {
    this.sequence = Math.max(this.sequence, received);
    return this.#kept.filter(([sequence]) => sequence > received);
  }
}

function checkValue(where: string, { type, low, high, maxLength }: InputField, value: unknown): void {
  const most = high ?? maxLength ?? Infinity;
  const within = (size: number) => size >= (low ?? -Infinity) && size <= most;
  const fits =
    typeof value === "number"
      ? within(value) && (type === "float" ? Number.isFinite(value) : type === "int" && Number.isSafeInteger(value))
      : typeof value === "string"
        ? type === "str" && within([...value].length)
        : value instanceof Uint8Array
          ? type === "bytes" && within(value.length)
          : type === "bool" && typeof value === "boolean";
  if (fits) return;
  const least = low === null ? "" : ` from ${low}`;
  throw new InputError(`${where} takes ${type}${least}${most < Infinity ? ` to ${most}` : ""}, not ${value}`);
}
