// Reads msgpack where it lies: frames go from the message's bytes into typed arrays, with nothing made in between.
//
// A library gives the same number for 2 and for 2.0, which the protocol tells apart, takes text that is not UTF-8, and
// decodes a frame into arrays of arrays that would be thrown away. So frames need a reader of their own; with one, whole
// values take it 20 lines more, where @msgpack/msgpack's decoder would take 2.9 KiB of the bundle's 15. In tests that
// library is the oracle.

import { refuse } from "./errors.js";

/** Arrays and maps inside each other in a server's message, the outermost counted (SPEC.md, Limits). */
const MOST_DEPTH = 64;

/** What an item is. */
export const INTEGER = 0;
export const FLOAT = 1;
export const TEXT = 2;
export const BIN = 3;
export const ARRAY = 4;
export const MAP = 5;
const NIL = 6;
const BOOLEAN = 7;
const UNKNOWN = 8;

/** The kinds of the first bytes from 0xc0 to 0xdf. */
const KINDS = "68773338881100000000888882224455";
/** What stands behind the first bytes from 0xc4 to 0xdf: the number itself, or how long the item is. */
const READERS =
  "Uint8 Uint16 Uint32    Float32 Float64 Uint8 Uint16 Uint32 BigUint64 Int8 Int16 Int32 BigInt64      Uint8 Uint16 Uint32 Uint16 Uint32 Uint16 Uint32"
    .split(" ")
    .map((name) => ({ width: Number(name.replace(/\D+/, "")) / 8, method: `get${name}` as "getUint8" }));

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A place in a message. Every method throws ProtocolError when something else stands there. */
export class Cursor {
  readonly #view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    public at = 0,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** What stands here: `INTEGER`, `ARRAY` and so on. */
  get kind(): number {
    const first = this.#first;
    if (first < 0x80 || first >= 0xe0) return INTEGER;
    return first < 0x90 ? MAP : first < 0xa0 ? ARRAY : first < 0xc0 ? TEXT : Number(KINDS[first - 0xc0]);
  }

  /** Whether the next item is nil; it is passed if so. */
  nil(): boolean {
    const found = this.kind === NIL;
    if (found) this.at++;
    return found;
  }

  /** How many items an array has; they come next. */
  array(): number {
    return this.#length(ARRAY);
  }

  /** How many keys a map has; each is followed by its value. */
  map(): number {
    return this.#length(MAP);
  }

  /** The bytes of a bin, or of a text: a view into the message. */
  bytesOf(kind: typeof BIN | typeof TEXT): Uint8Array {
    const from = this.#past(this.#length(kind));
    return this.bytes.subarray(from, this.at);
  }

  bin(): Uint8Array {
    return this.bytesOf(BIN);
  }

  text(): string {
    return decodeUtf8(this.bytesOf(TEXT));
  }

  /** An integer of any width; a float is none. */
  integer(lowest: number, highest: number): number {
    return inRange(this.#number(INTEGER), lowest, highest);
  }

  /** An integer or a float. */
  number(lowest: number, highest: number): number {
    return inRange(this.#number(this.kind === FLOAT ? FLOAT : INTEGER), lowest, highest);
  }

  boolean(): boolean {
    this.#want(BOOLEAN);
    return this.bytes[this.at++] === 0xc3;
  }

  /** Whatever stands here, of a message that `check` has let through. */
  value(): unknown {
    const { kind } = this;
    if (kind === ARRAY) return Array.from({ length: this.array() }, () => this.value());
    if (kind === MAP) return this.#mapValue();
    if (kind === TEXT) return this.text();
    if (kind === BIN) return new Uint8Array(this.bin()); // a copy, so that its buffer is nobody else's
    if (kind === BOOLEAN) return this.boolean();
    return this.nil() ? null : this.#number(kind);
  }

  /** Goes past whatever stands here; sees that it is in order. */
  skip(depth = 0): void {
    const { kind } = this;
    if (kind === ARRAY || kind === MAP) {
      if (depth >= MOST_DEPTH) refuse("too deep");
      for (let left = this.#length(kind); left > 0; left--) {
        if (kind === MAP) checkUtf8(this.bytesOf(TEXT));
        this.skip(depth + 1);
      }
    } else if (kind === TEXT) checkUtf8(this.bytesOf(TEXT));
    else if (kind === BIN) this.bin();
    else if (kind === UNKNOWN) refuse("extension");
    else if (kind > MAP) this.at++;
    else this.#number(kind);
  }

  #mapValue(): Record<string, unknown> {
    // By definition and not by assignment, so that a key __proto__, which a player may have sent, is a key like others.
    return Object.fromEntries(Array.from({ length: this.map() }, () => [this.text(), this.value()]));
  }

  get #first(): number {
    return this.at < this.bytes.length ? this.bytes[this.at] : refuse("cut off");
  }

  #want(kind: number): void {
    if (this.kind !== kind) refuse(`kind ${this.kind}, not ${kind}`);
  }

  /** The number that stands here, or that tells the length of what does. Beyond 2**53 it is not exact. */
  #number(kind: number): number {
    this.#want(kind);
    const first = this.#first;
    if (first < 0xc0 || first >= 0xe0) {
      this.at++;
      return kind === INTEGER ? (first << 24) >> 24 : first & (kind === TEXT ? 0x1f : 0x0f);
    }
    const { width, method } = READERS[first - 0xc4];
    return Number(this.#view[method](this.#past(1 + width) + 1));
  }

  /** How long it is. Each of so many items has a byte at least: who promises more is not believed. */
  #length(kind: number): number {
    const length = this.#number(kind);
    return length <= this.bytes.length - this.at ? length : refuse("cut off");
  }

  /** Goes on by `count` bytes; answers where they begin. */
  #past(count: number): number {
    const from = this.at;
    if (count > this.bytes.length - from) refuse("cut off");
    this.at = from + count;
    return from;
  }
}

/** `value`, which must be a number within bounds. */
export function inRange(value: number, lowest: number, highest: number): number {
  return value >= lowest && value <= highest ? value : refuse(`${value}, not ${lowest} to ${highest}`);
}

/** Sees that `bytes` are one msgpack value within the protocol's rules, and nothing behind it. */
export function check(bytes: Uint8Array): void {
  const cursor = new Cursor(bytes);
  cursor.skip();
  if (cursor.at < bytes.length) refuse("bytes behind");
}

/** The value that `bytes` are, and nothing but it. */
export function readValue(bytes: Uint8Array): unknown {
  check(bytes);
  return new Cursor(bytes).value();
}

/**
 * Reads the named keys of a map and skips others. Keys travel in snake_case and are named here in camelCase.
 *
 * @param defaults what keys mean that are missing; all others must be there
 */
export function readMap<T extends object>(
  cursor: Cursor,
  readers: { [Key in keyof T]: () => T[Key] },
  defaults: Partial<T>,
): T {
  const found: Partial<T> = { ...defaults };
  for (let left = cursor.map(); left > 0; left--) {
    const wireKey = cursor.text();
    const key = wireKey.replace(/_[a-z]/g, (part) => part[1].toUpperCase()) as keyof T;
    if (wireKey === wireKey.toLowerCase() && Object.hasOwn(readers, key)) found[key] = readers[key]();
    else cursor.skip();
  }
  for (const key in readers) if (!(key in found)) refuse(`no ${key}`);
  return found as T;
}

/** Reads an array of things of one kind. */
export function readList<T>(cursor: Cursor, read: () => T): T[] {
  return Array.from({ length: cursor.array() }, read);
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return refuse("UTF-8");
  }
}

function checkUtf8(bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] > 0x7f) {
      decodeUtf8(bytes);
      return;
    }
  }
}
