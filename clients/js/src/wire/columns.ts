// Columns as they travel (SPEC.md, section "Columns"): one field's integers, or objects, of some rows.

import { ARRAY, BIN, type Cursor, INTEGER, inRange, TEXT } from "./cursor.js";
import { refuse } from "./errors.js";
import type { Field } from "./fields.js";
import { crc32 } from "./hash.js";

export type Integers = Int32Array | Uint32Array;

/** What one column is read into before it is judged: made once, as long as the longest column so far. */
let scratch = new Float64Array(256);

function space(count: number): Float64Array {
  if (scratch.length < count) scratch = new Float64Array(count * 2);
  return scratch;
}

/** Reads a column of numbers into `held`, whose index is the id. Throws ProtocolError, and may have written nothing. */
export function readIntegers(cursor: Cursor, field: Field, ids: Uint32Array, held: Integers): void {
  const read = space(ids.length);
  if (cursor.kind === INTEGER) read.fill(cursor.integer(-Infinity, Infinity), 0, ids.length);
  else if (cursor.kind === BIN) {
    const bin = cursor.bin();
    if (field.kind === "bool") readBits(bin, ids.length, read);
    else readAbsolute(bin, ids.length, field.kind === "int", read);
  } else readDifferences(cursor, field, ids, held, read);
  const { lowest, highest } = field;
  for (let i = 0; i < ids.length; i++) {
    held[ids[i]] = inRange(read[i], lowest, highest);
  }
}

function readBits(bin: Uint8Array, count: number, into: Float64Array): void {
  if (bin.length !== (count + 7) >> 3) refuse("bits");
  for (let i = 0; i < count; i++) into[i] = (bin[i >> 3] >> (i & 7)) & 1;
}

/** Little-endian integers of one width. */
function readAbsolute(bin: Uint8Array, count: number, signed: boolean, into: Float64Array): void {
  const width = count ? bin.length / count : 0;
  if (count ? width !== 1 && width !== 2 && width !== 4 : bin.length) refuse("column");
  const view = new DataView(bin.buffer, bin.byteOffset, bin.length);
  if (width === 1) for (let i = 0; i < count; i++) into[i] = signed ? (bin[i] << 24) >> 24 : bin[i];
  else if (width === 2)
    for (let i = 0; i < count; i++) into[i] = signed ? view.getInt16(i * 2, true) : view.getUint16(i * 2, true);
  else for (let i = 0; i < count; i++) into[i] = signed ? view.getInt32(i * 4, true) : view.getUint32(i * 4, true);
}

/** One signed byte a row, added to what it holds; -128 is the escape to an integer of its own. */
function readDifferences(cursor: Cursor, field: Field, ids: Uint32Array, held: Integers, into: Float64Array): void {
  if (!field.takesDifferences || cursor.kind !== ARRAY) refuse(`column ${field.name}`);
  const bins = cursor.array();
  if (bins !== 1 && bins !== 2) refuse("differences");
  const steps = cursor.bin();
  if (steps.length !== ids.length) refuse("differences");
  let escapes = 0;
  for (let i = 0; i < steps.length; i++) if (steps[i] === 0x80) escapes++;
  if (escapes > 0 !== (bins === 2)) refuse("escapes");
  let large: Float64Array | null = null;
  if (bins === 2) {
    large = new Float64Array(escapes);
    readAbsolute(cursor.bin(), escapes, field.kind === "int", large);
  }
  const mask = field.kind === "angle" ? 2 ** field.bits - 1 : 0;
  for (let i = 0, next = 0; i < steps.length; i++) {
    const sum = held[ids[i]] + ((steps[i] << 24) >> 24);
    into[i] = large && steps[i] === 0x80 ? large[next++] : mask ? sum & mask : sum;
  }
}

/** Reads a column of texts, bytes or packed values, and the checksums that stand for them in the hash. */
export function readObjects(
  cursor: Cursor,
  field: Field,
  ids: Uint32Array,
  objects: unknown[],
  checksums: Integers,
): void {
  if (cursor.kind !== ARRAY || cursor.array() !== ids.length) refuse(`column ${field.name}`);
  for (let i = 0; i < ids.length; i++) {
    const from = cursor.at;
    const bytes = field.kind === "text" ? cursor.bytesOf(TEXT) : cursor.bin();
    checksums[ids[i]] = crc32(bytes);
    if (field.kind === "text") {
      cursor.at = from;
      objects[ids[i]] = cursor.text();
    } else objects[ids[i]] = new Uint8Array(bytes); // a copy: a view would keep the whole message alive
  }
}
