// Field kinds: the integers that travel and the values that they stand for (SPEC.md, section "Schema").

import { type Cursor, inRange, readMap } from "./cursor.js";
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
  /** Of `fixed`: integer n is low + n * step. This and what follows is NaN for kinds that have none. */
  readonly low: number;
  readonly step: number;
  /** Of `angle`, `uint`, `int`. */
  readonly bits: number;
  /** Of `reference`: the index of the table that it refers to. */
  readonly table: number;
  /** Of text, bytes and values. */
  readonly maxBytes: number;
}

type Parameters = Pick<Field, "name" | "kind" | "low" | "step" | "bits" | "table" | "maxBytes"> & { count: number };

/** A field as the schema has it; throws ProtocolError when a parameter is missing or out of its range. */
export function readField(cursor: Cursor): Field {
  const number = () => cursor.number(-1e300, 1e300);
  const integer = () => cursor.integer(0, 2 ** 32);
  const { count, ...given } = readMap<Parameters>(
    cursor,
    {
      kind: () => cursor.text() as FieldKind,
      name: () => cursor.text(),
      low: number,
      step: number,
      count: integer,
      bits: integer,
      table: integer,
      maxBytes: integer,
    },
    { low: NaN, step: NaN, count: NaN, bits: NaN, table: NaN, maxBytes: NaN },
  );
  const { kind, bits } = given;
  const isObject = kind === "text" || kind === "bytes" || kind === "value";
  let [lowest, highest] = [0, 0xffffffff];
  if (kind === "fixed") {
    inRange(given.low, -1e300, 1e300);
    inRange(given.step, Number.MIN_VALUE, 1e300);
    highest = inRange(count, 2, 2 ** 32) - 1;
  } else if (kind === "angle" || kind === "uint" || kind === "int") {
    inRange(bits, kind === "angle" ? 4 : kind === "int" ? 2 : 1, kind === "angle" ? 16 : 32);
    if (kind === "int") lowest = -(2 ** (bits - 1));
    highest = 2 ** bits - 1 + lowest;
  } else if (kind === "bool") highest = 1;
  else if (kind === "reference") highest = MOST_ID;
  else if (kind === "owner") highest = 0xffff;
  else if (isObject) inRange(given.maxBytes, 1, 65535);
  else if (kind !== "float32") refuse(`kind ${kind}`);
  const takesDifferences = !isObject && kind !== "float32" && kind !== "bool";
  return { ...given, lowest, highest, isObject, takesDifferences };
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
