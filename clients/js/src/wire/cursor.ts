// Reads msgpack where it lies: frames go from the message's bytes into typed arrays, with nothing made in between.
//
// A library gives the same number for 2 and for 2.0, which the protocol tells apart, takes text that is not UTF-8, and
// decodes a frame into arrays of arrays that would be thrown away. So frames need a reader of their own; with one, whole
// values take it 20 lines more, where @msgpack/msgpack's decoder would take 2.9 KiB of the bundle's 15. In tests that
// library is the oracle.

import { refuse } from "./errors.js";

/** Arrays and maps inside each other in a server's message, the outermost counted (SPEC.md, Limits). */
const MOST_DEPTH = 64;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes behind the first one that say how long something is, or that hold its number, for 0xc4 to 0xdf. */
const WIDTHS = [1, 2, 4, 0, 0, 0, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4];

/** A place in a message. Every method throws ProtocolError when something else stands there. */
export class Cursor {
  readonly #view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    public at = 0,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The byte that begins the next item, which says its type. */
  get type(): number {
    return this.at < this.bytes.length ? this.bytes[this.at] : refuse("the message is cut off");
  }

  /** Whether the next item is nil; it is passed if so. */
  nil(): boolean {
    if (this.type !== 0xc0) return false;
    this.at++;
    return true;
  }

  /** Whether the next item is an array. */
  get isArray(): boolean {
    const { type } = this;
    return (type & 0xf0) === 0x90 || type === 0xdc || type === 0xdd;
  }

  get isMap(): boolean {
    const { type } = this;
    return (type & 0xf0) === 0x80 || type === 0xde || type === 0xdf;
  }

  get isText(): boolean {
    const { type } = this;
    return (type & 0xe0) === 0xa0 || (type >= 0xd9 && type <= 0xdb);
  }

  get isFloat(): boolean {
    const { type } = this;
    return type === 0xca || type === 0xcb;
  }

  get isBin(): boolean {
    const { type } = this;
    return type >= 0xc4 && type <= 0xc6;
  }

  get isInteger(): boolean {
    const { type } = this;
    return type < 0x80 || type >= 0xe0 || (type >= 0xcc && type <= 0xd3);
  }

  /** How many items an array has; they come next. */
  array(): number {
    const { type } = this;
    if (!this.isArray) refuse("an array is wanted");
    return this.#enough((type & 0xf0) === 0x90 ? this.#short(type & 0x0f) : this.#length(type));
  }

  /** How many keys a map has; each is followed by its value. */
  map(): number {
    const { type } = this;
    if (!this.isMap) refuse("a map is wanted");
    return this.#enough((type & 0xf0) === 0x80 ? this.#short(type & 0x0f) : this.#length(type));
  }

  /** The bytes of a bin: a view into the message. */
  bin(): Uint8Array {
    if (!this.isBin) refuse("a bin is wanted");
    return this.#take(this.#length(this.type));
  }

  /** The bytes of a text: a view into the message. */
  utf8(): Uint8Array {
    const { type } = this;
    if (!this.isText) refuse("a text is wanted");
    if (type < 0xc0) return this.#take(this.#short(type & 0x1f));
    return this.#take(this.#length(type));
  }

  text(): string {
    return decodeUtf8(this.utf8());
  }

  /** An integer of any width; a float is none. */
  integer(lowest: number, highest: number): number {
    const value = this.#integer();
    if (!(value >= lowest && value <= highest)) refuse(`${value} is not from ${lowest} to ${highest}`);
    return value;
  }

  /** An integer, or a float that is finite. */
  number(lowest: number, highest: number): number {
    const value = this.isFloat ? this.#float() : this.#integer();
    if (!(value >= lowest && value <= highest)) refuse(`${value} is not from ${lowest} to ${highest}`);
    return value;
  }

  boolean(): boolean {
    const { type } = this;
    if (type !== 0xc2 && type !== 0xc3) refuse("true or false is wanted");
    this.at++;
    return type === 0xc3;
  }

  /** Whatever stands here, of a message that `check` has let through: bins are views into it, maps have a prototype. */
  value(): unknown {
    if (this.isArray) return Array.from({ length: this.array() }, () => this.value());
    if (this.isMap) return this.#mapValue();
    if (this.isText) return this.text();
    if (this.isBin) return this.bin();
    if (this.isFloat) return this.#float();
    if (this.isInteger) return this.#integer();
    return this.nil() ? null : this.boolean();
  }

  /** Goes past whatever stands here. `strictly`: also see that it is in order, but for what `check` sees besides. */
  skip(depth = 0, strictly = false): void {
    const { type } = this;
    if (this.isArray) this.#skipItems(this.array(), depth, strictly);
    else if (this.isMap) this.#skipMap(depth, strictly);
    else if (this.isText) strictly ? checkUtf8(this.utf8()) : this.utf8();
    else if (this.isBin) this.bin();
    else if (type === 0xc1 || (type >= 0xc7 && type <= 0xc9) || (type >= 0xd4 && type <= 0xd8)) refuse("an extension");
    else this.#past(1 + (type >= 0xc4 && type < 0xe0 ? WIDTHS[type - 0xc4] : 0));
  }

  #skipItems(count: number, depth: number, strictly: boolean): void {
    if (depth >= MOST_DEPTH) refuse("too deep");
    for (; count > 0; count--) this.skip(depth + 1, strictly);
  }

  #skipMap(depth: number, strictly: boolean): void {
    if (depth >= MOST_DEPTH) refuse("too deep");
    for (let count = this.map(); count > 0; count--) {
      strictly ? checkUtf8(this.utf8()) : this.utf8();
      this.skip(depth + 1, strictly);
    }
  }

  #mapValue(): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    for (let left = this.map(); left > 0; left--) {
      const key = this.text();
      if (key === "__proto__") refuse("a key that no object may have");
      map[key] = this.value();
    }
    return map;
  }

  #float(): number {
    const isSingle = this.type === 0xca;
    const at = this.#past(isSingle ? 5 : 9) + 1;
    return isSingle ? this.#view.getFloat32(at) : this.#view.getFloat64(at);
  }

  #integer(): number {
    const { type } = this;
    if (type < 0x80) return this.#short(type);
    if (type >= 0xe0) return this.#short(type - 0x100);
    if (type < 0xcc || type > 0xd3) refuse("an integer is wanted");
    const at = this.#past(1 + WIDTHS[type - 0xc4]) + 1;
    const view = this.#view;
    if (type === 0xcc) return view.getUint8(at);
    if (type === 0xcd) return view.getUint16(at);
    if (type === 0xce) return view.getUint32(at);
    if (type === 0xd0) return view.getInt8(at);
    if (type === 0xd1) return view.getInt16(at);
    if (type === 0xd2) return view.getInt32(at);
    const high = type === 0xcf ? view.getUint32(at) : view.getInt32(at);
    return high * 0x1_0000_0000 + view.getUint32(at + 4); // beyond 2**53 not exact, but then out of every range
  }

  /** The length behind the type's byte. */
  #length(type: number): number {
    const width = WIDTHS[type - 0xc4];
    const at = this.#past(1 + width) + 1;
    return width === 1 ? this.#view.getUint8(at) : width === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #short(value: number): number {
    this.at++;
    return value;
  }

  /** Goes on by `count` bytes; answers where they begin. */
  #past(count: number): number {
    const from = this.at;
    if (count > this.bytes.length - from) refuse("the message is cut off");
    this.at = from + count;
    return from;
  }

  #take(count: number): Uint8Array {
    const from = this.#past(count);
    return this.bytes.subarray(from, from + count);
  }

  /** Each of so many items has a byte at least: who promises more is not believed. */
  #enough(count: number): number {
    return count <= this.bytes.length - this.at ? count : refuse("the message is cut off");
  }
}

/** Sees that `bytes` are one msgpack value within the protocol's rules, and nothing behind it. */
export function check(bytes: Uint8Array): void {
  const cursor = new Cursor(bytes);
  cursor.skip(0, true);
  if (cursor.at < bytes.length) refuse("bytes behind the message");
}

/** The value that `bytes` are, and nothing but it. */
export function readValue(bytes: Uint8Array): unknown {
  check(bytes);
  return new Cursor(bytes).value();
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return refuse("text that is not UTF-8");
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
