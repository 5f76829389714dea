// What is written here is what @msgpack/msgpack reads, and the other way round: that library is the oracle.

import { decode, encode as libraryEncode } from "@msgpack/msgpack";
import { describe, expect, test } from "vitest";
import { readValue } from "../../src/wire/cursor.js";
import { encode } from "../../src/wire/encode.js";
import { ProtocolError } from "../../src/wire/errors.js";

const EDGES = [
  31,
  32,
  127,
  128,
  255,
  256,
  32767,
  32768,
  65535,
  65536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 1,
];
const VALUES: unknown[] = [
  null,
  true,
  false,
  0,
  0.5,
  -0.1,
  1e300,
  ...EDGES.flatMap((edge) => [edge, -edge, -edge - 1]).filter(Number.isSafeInteger),
  "",
  "\u{1f680} Zo\u00eb",
  ...[15, 16, 31, 32, 255, 256, 65535, 65536].flatMap((length) => [
    "x".repeat(length),
    new Uint8Array(length).fill(7),
    Array.from({ length }, (_, i) => i % 5),
    Object.fromEntries(Array.from({ length }, (_, i) => [`key ${i}`, i])),
  ]),
  { nested: [{ deep: [[[{}]]] }], constructor: 1, toString: "yes" },
];

describe.each(VALUES.map((value, number) => ({ number, value })))("value $number", ({ value }) => {
  test("the library reads what is written", () => {
    expect(decode(encode(value))).toEqual(value);
  });
  test("what the library writes is read", () => {
    expect(readValue(libraryEncode(value))).toEqual(value);
  });
  test("it is as short as the library's", () => {
    const negative = typeof value === "number" && value < 0; // those take four bytes or eight
    expect(encode(value).length).toBeLessThanOrEqual(libraryEncode(value).length + (negative ? 3 : 0));
  });
});

test("undefined is nil, and left out of objects", () => {
  expect(decode(encode([undefined, { a: undefined, b: 1 }]))).toEqual([null, { b: 1 }]);
});

test.each([
  () => 1,
  Symbol("s"),
  5n,
  { inside: [Symbol("s")] },
  new Map([["a", 1]]),
  new Set([1]),
  new Date(0),
  new Float32Array(2),
  new DataView(new ArrayBuffer(2)),
])("%o cannot be sent", (value) => {
  expect(() => encode(value)).toThrow(TypeError);
});

test("what refers to itself cannot be sent", () => {
  const circle: unknown[] = [];
  circle.push(circle);
  expect(() => encode(circle)).toThrow(RangeError);
});

test("a key __proto__ is a key like others, and reaches no prototype", () => {
  const hostile = Uint8Array.from([0x81, 0xa9, ...Buffer.from("__proto__"), 0x81, 0xa1, 0x78, 0x01]);
  const read = readValue(hostile) as Record<string, unknown>;
  expect(Object.getOwnPropertyDescriptor(read, "__proto__")?.value).toEqual({ x: 1 });
  expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
  expect(read.x).toBeUndefined();
});

test("bins are copies with buffers of their own", () => {
  const read = readValue(encode([new Uint8Array([1, 2, 3])])) as Uint8Array[];
  expect(read[0].buffer.byteLength).toBe(3);
});

test.each([
  ["a promise of four billion items", [0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0]],
  ["a promise of four billion keys", [0xdf, 0xff, 0xff, 0xff, 0xff, 0xc0]],
  ["a bin that is cut off", [0xc6, 0x7f, 0xff, 0xff, 0xff, 0x00]],
  ["an extension", [0xd4, 0x01, 0x00]],
  ["a timestamp", [0xd6, 0xff, 0, 0, 0, 0]],
  ["the byte that means nothing", [0xc1]],
  ["nothing", []],
  ["two values", [0xc0, 0xc0]],
  ["a key that is a number", [0x81, 0x01, 0x01]],
  ["65 arrays inside each other", [...Array(65).fill(0x91), 0xc0]],
])("%s is refused", (_, bytes) => {
  expect(() => readValue(Uint8Array.from(bytes))).toThrow(ProtocolError);
});

test("64 arrays inside each other are not too deep", () => {
  expect(readValue(Uint8Array.from([...Array(64).fill(0x91), 0xc0]))).toBeInstanceOf(Array);
});
