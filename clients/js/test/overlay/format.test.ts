// Values as people read them.

import { expect, test } from "vitest";
import * as format from "../../src/overlay/format.js";
import type { Field } from "../../src/wire/fields.js";

const field = (parts: Partial<Field>): Field =>
  ({ name: "f", kind: "uint", lowest: 0, highest: 0xffff, low: 0, step: 1, bits: 16, table: 0, ...parts }) as Field;
const SCHEMA = { tables: [{ name: "Ship", fields: [], single: false, of: null }], input: null };

test.each([
  [0, "0"],
  [-17, "-17"],
  [1234567, "1234567"],
  [1.5, "1.5"],
  [0.123456789, "0.12346"],
  [123456.789, "123457"],
  [Number.NaN, "NaN"],
])("the number %d", (value, text) => expect(format.formatNumber(value)).toBe(text));

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1.00 kB"],
  [45678, "45.7 kB"],
  [456789, "457 kB"],
  [12_300_000, "12.3 MB"],
])("%d bytes", (bytes, text) => expect(format.formatBytes(bytes)).toBe(text));

test.each([
  [null, "-"],
  [0.0004, "0.4 ms"],
  [0.0234, "23 ms"],
  [-0.007, "-7.0 ms"],
  [1.5, "1500 ms"],
  [12.34, "12.3 s"],
])("%d seconds", (seconds, text) => expect(format.formatSeconds(seconds)).toBe(text));

test.each<[Partial<Field>, number, string]>([
  [{ kind: "bool" }, 1, "true"],
  [{ kind: "owner" }, 0, "nobody"],
  [{ kind: "owner" }, 12, "player 12"],
  [{ kind: "reference" }, 5, "Ship 5"],
  [{ kind: "fixed", low: 0, step: 0.0625 }, 25603, "1600.19"],
  [{ kind: "fixed", low: -1, step: 0.1 }, 13, "0.3"],
  [{ kind: "angle", bits: 8 }, 64, "1.5708 (90 deg)"],
  [{ kind: "float32" }, 0x3f800000, "1"],
  [{ kind: "int" }, -3, "-3"],
])("%o of %d", (parts, integer, text) => expect(format.formatInteger(field(parts), integer, SCHEMA)).toBe(text));

test("differences have a sign, and units where integers are steps", () => {
  expect(format.formatDifference(field({}), 3)).toBe("+3");
  expect(format.formatDifference(field({ kind: "int" }), -3)).toBe("-3");
  expect(format.formatDifference(field({ kind: "fixed", step: 0.0625 }), 24)).toBe("+1.5 (+24 steps)");
});

test("any value fits into a line", () => {
  expect(format.formatValue(null)).toBe("nil");
  expect(format.formatValue(Uint8Array.of(1, 255))).toBe("2 B 01ff");
  expect(format.formatValue({ a: [1, "b", Uint8Array.of(7)] })).toBe('{"a":[1,"b",{"bytes":"07"}]}');
  expect(format.shorten("x".repeat(100), 10)).toBe("xxxxxxx...");
});

test("a dump has offsets, bytes and characters", () => {
  const lines = format.hexDump(Uint8Array.from({ length: 18 }, (_, i) => 0x40 + i)).split("\n");
  expect(lines).toEqual([
    "0000  40 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f  @ABCDEFGHIJKLMNO",
    `0010  50 51${" ".repeat(43)} PQ`,
  ]);
});
