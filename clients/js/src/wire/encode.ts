// Writes what a client sends, as msgpack: a few small messages a second, so the simplest way will do.
//
// 60 lines, because @msgpack/msgpack's encoder would take 3 KiB of the bundle's 15. In tests that library reads what is
// written here.

/** Behind these first bytes comes a length of 1, 2 or 4 bytes. */
const TEXT = [0xd9, 0xda, 0xdb];
const BIN = [0xc4, 0xc5, 0xc6];
const ARRAY = [0, 0xdc, 0xdd];
const MAP = [0, 0xde, 0xdf];

const utf8 = new TextEncoder();

/**
 * A value as msgpack. Whole numbers of up to 53 bits travel as integers, all others as float64; `undefined` as nil, and
 * not at all in objects. Objects are maps, typed arrays of bytes and ArrayBuffers bins.
 *
 * @throws TypeError for what has no form: functions, symbols, BigInts, dates, Maps, other typed arrays; RangeError for what refers to itself
 */
export function encode(value: unknown): Uint8Array {
  const bytes: number[] = [];
  write(bytes, value, 0);
  return Uint8Array.from(bytes);
}

function write(bytes: number[], value: unknown, depth: number): void {
  if (depth > 64) throw new RangeError("more than 64 arrays and objects inside each other cannot be sent");
  if (value === null || value === undefined) bytes.push(0xc0);
  else if (typeof value === "boolean") bytes.push(value ? 0xc3 : 0xc2);
  else if (typeof value === "number") writeNumber(bytes, value);
  else if (typeof value === "string") writeBytes(bytes, TEXT, 0xa0, 32, utf8.encode(value));
  else if (value instanceof Uint8Array) writeBytes(bytes, BIN, 0, 0, value);
  else if (value instanceof ArrayBuffer) writeBytes(bytes, BIN, 0, 0, new Uint8Array(value));
  else if (Array.isArray(value)) {
    writeLength(bytes, ARRAY, 0x90, 16, value.length);
    for (const item of value) write(bytes, item, depth + 1);
  } else if (Object.prototype.toString.call(value) === "[object Object]") {
    const entries = Object.entries(value).filter((entry) => entry[1] !== undefined);
    writeLength(bytes, MAP, 0x80, 16, entries.length);
    for (const [key, item] of entries) {
      write(bytes, key, depth + 1);
      write(bytes, item, depth + 1);
    }
  } else throw new TypeError(`${Object.prototype.toString.call(value)} cannot be sent`);
}

function writeNumber(bytes: number[], value: number): void {
  if (!Number.isSafeInteger(value)) {
    bytes.push(0xcb, ...new Uint8Array(new Float64Array([value]).buffer).reverse());
  } else if (value >= -32 && value < 128) bytes.push(value & 0xff);
  else if (value >= 0 && value < 2 ** 32) writeSized(bytes, [0xcc, 0xcd, 0xce], value);
  else if (value < 0 && value >= -(2 ** 31)) writeSized(bytes, [0, 0, 0xd2], value);
  else {
    writeSized(bytes, [0, 0, 0xd3], Math.floor(value / 2 ** 32));
    bytes.push((value >> 24) & 0xff, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff);
  }
}

function writeBytes(bytes: number[], firsts: number[], short: number, below: number, data: Uint8Array): void {
  writeLength(bytes, firsts, short, below, data.length);
  for (const byte of data) bytes.push(byte);
}

/** Below `below` the length is part of the first byte. */
function writeLength(bytes: number[], firsts: number[], short: number, below: number, length: number): void {
  if (length < below) bytes.push(short | length);
  else writeSized(bytes, firsts, length);
}

/** A number in as few bytes as there is a first byte for: 1, 2 or 4; 0 among `firsts` is none. */
function writeSized(bytes: number[], firsts: number[], value: number): void {
  const size = firsts[0] && value < 0x100 ? 0 : firsts[1] && value < 0x10000 ? 1 : 2;
  bytes.push(firsts[size]);
  for (let shift = (1 << size) * 8 - 8; shift >= 0; shift -= 8) bytes.push((value >> shift) & 0xff);
}
