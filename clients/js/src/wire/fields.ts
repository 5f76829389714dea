// Field kinds: the integers that travel and the values that they stand for (SPEC.md, section "Schema").

import { refuse } from "./errors.js";

/** The highest id; ids go up to twice the rows of a table. */
export const MOST_ID = 2097152;

export type FieldKind =
  | "fixed"
  | "angle"
  | "uint"
  | "int"
  | "float32"
  | "bool"
  | "reference"
  | "owner"
  | "text"
  | "bytes"
  | "value";

/** One replicated field of an entity type. */
export interface Field {
  readonly name: string;
  readonly kind: FieldKind;
  /** Bounds of the integers that may travel. */
  readonly lowest: number;
  readonly highest: number;
  /** Whether it travels as it is: text, bytes, a packed value. Its integer is the CRC-32 of its bytes. */
  readonly isObject: boolean;
  /** Whether a column may be differences to what is held. */
  readonly takesDifferences: boolean;
  /** Of `fixed`: integer n is low + n * step. */
  readonly low: number;
  readonly step: number;
  /** Of `angle`, `uint`, `int`. */
  readonly bits: number;
  /** Of `reference`: the index of the table that it refers to. */
  readonly table: number;
  /** Of text, bytes and values. */
  readonly maxBytes: number;
}

/** A field as the schema has it; throws ProtocolError when a parameter is missing or out of its range. */
export function readField(map: unknown): Field {
  const wire = asMap(map);
  const kind = wire.kind as FieldKind;
  let [lowest, highest, bits, low, step, table, maxBytes] = [0, 0xffffffff, 0, 0, 1, 0, 0];
  if (kind === "fixed") {
    low = numberFrom(wire.low, -1e300, 1e300);
    step = numberFrom(wire.step, Number.MIN_VALUE, 1e300);
    highest = integerFrom(wire.count, 2, 2 ** 32) - 1;
  } else if (kind === "angle" || kind === "uint" || kind === "int") {
    bits = integerFrom(wire.bits, kind === "angle" ? 4 : kind === "int" ? 2 : 1, kind === "angle" ? 16 : 32);
    if (kind === "int") lowest = -(2 ** (bits - 1));
    highest = 2 ** bits - 1 + lowest;
  } else if (kind === "bool") highest = 1;
  else if (kind === "reference") {
    table = integerFrom(wire.table, 0, MOST_ID);
    highest = MOST_ID;
  } else if (kind === "owner") highest = 0xffff;
  else if (isObjectKind(kind)) maxBytes = integerFrom(wire.max_bytes, 1, 65535);
  else if (kind !== "float32") refuse(`a field of the unknown kind ${String(kind)}`);
  const isObject = isObjectKind(kind);
  const takesDifferences = !isObject && kind !== "float32" && kind !== "bool";
  const name = textFrom(wire.name);
  return { name, kind, lowest, highest, isObject, takesDifferences, low, step, bits, table, maxBytes };
}

function isObjectKind(kind: string): boolean {
  return kind === "text" || kind === "bytes" || kind === "value";
}

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/** The number that an integer stands for; of a reference the id. Not for text, bytes and values. */
export function toNumber(field: Field, integer: number): number {
  if (field.kind === "fixed") return field.low + integer * field.step;
  if (field.kind === "angle") return integer * ((2 * Math.PI) / 2 ** field.bits);
  if (field.kind !== "float32") return integer;
  singleBits[0] = integer;
  return single[0];
}

/** The numbers that the integers of some rows stand for. */
export function toNumbers(field: Field, integers: Int32Array | Uint32Array, ids: Uint32Array): Float64Array {
  const numbers = new Float64Array(ids.length);
  if (field.kind === "float32") {
    for (let i = 0; i < ids.length; i++) numbers[i] = toNumber(field, integers[ids[i]]);
    return numbers;
  }
  const low = field.kind === "fixed" ? field.low : 0;
  const step = field.kind === "angle" ? (2 * Math.PI) / 2 ** field.bits : field.kind === "fixed" ? field.step : 1;
  for (let i = 0; i < ids.length; i++) numbers[i] = low + integers[ids[i]] * step;
  return numbers;
}

// -- reading a decoded schema

export function asMap(value: unknown): Record<string, unknown> {
  const isMap = typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
  return isMap ? (value as Record<string, unknown>) : refuse("a map is wanted");
}

export function asArray(value: unknown): unknown[] {
  return Array.isArray(value) ? value : refuse("an array is wanted");
}

export function textFrom(value: unknown): string {
  return typeof value === "string" ? value : refuse("a text is wanted");
}

export function numberFrom(value: unknown, lowest: number, highest: number): number {
  const fits = typeof value === "number" && value >= lowest && value <= highest;
  return fits ? value : refuse(`${String(value)} is not a number from ${lowest} to ${highest}`);
}

export function integerFrom(value: unknown, lowest: number, highest: number): number {
  return Number.isInteger(value) ? numberFrom(value, lowest, highest) : refuse(`${String(value)} is no integer`);
}
