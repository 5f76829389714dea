// The parts of a frame's chunks: whose rows they speak of, and where their columns are. Pure.
//
// The replica reads the same bytes straight into its columns; this is for looking at them.

import { Cursor } from "../wire/cursor.js";
import { refuse } from "../wire/errors.js";
import type { Field } from "../wire/fields.js";
import { type Chunk, enterKnown, type Frame, findChunks } from "../wire/frame.js";
import { readGaps, readIds, without } from "../wire/ids.js";
import type { Schema } from "../wire/schema.js";

/** For a table of the schema, by index, the ids held before the frame. */
export type HeldIds = (table: number) => Uint32Array;

/** Some rows, and how the frame spells their ids. */
export interface Ids {
  readonly ids: Uint32Array;
  readonly shape: string;
}

/** Where a field's column is in the message. */
export interface ColumnPlace {
  readonly field: Field;
  readonly at: number;
}

/** Rows and their columns: whole rows, or a block. */
export interface Rows extends Ids {
  readonly columns: readonly ColumnPlace[];
}

export interface ChunkParts {
  readonly table: number;
  /** null: all rows held. */
  readonly scope: Ids | null;
  readonly removed: Ids | null;
  readonly whole: Rows | null;
  readonly blocks: readonly Rows[];
}

const NONE = new Uint32Array();

/** What stands at the cursor, as far as ids and columns differ by it. */
function shapeAt({ bytes, at }: Cursor): "array" | "bin" | "integer" | "nil" {
  const first = bytes[at];
  if ((first & 0xf0) === 0x90 || first === 0xdc || first === 0xdd) return "array";
  return first >= 0xc4 && first <= 0xc6 ? "bin" : first === 0xc0 ? "nil" : "integer";
}

/** Takes the chunks apart, but not their columns; throws ProtocolError when they are malformed or `held` is not it. */
export function takeApart(frame: Frame, schema: Schema, held: HeldIds): ChunkParts[] {
  const cursor = new Cursor(frame.bytes);
  const chunks = findChunks(frame, cursor, schema.tables.length);
  const before = (table: number) => (frame.header.back === 0 ? NONE : held(table));
  const removed = chunks.map(({ table, removedAt }) => idsAt(cursor, removedAt, before(table), "rows before"));
  const left = schema.tables.map((_, table) =>
    chunks.reduce(
      (ids, chunk, i) => (chunk.table === table ? without(ids, removed[i]?.ids ?? NONE) : ids),
      before(table),
    ),
  );
  return chunks.map((chunk, i) => {
    const { fields } = schema.tables[chunk.table];
    const scope = idsAt(cursor, chunk.scopeAt, NONE, "");
    return {
      table: chunk.table,
      scope,
      removed: removed[i],
      whole: wholeRows(cursor, chunk, fields),
      blocks: blocksOf(cursor, chunk, fields, scope?.ids ?? left[chunk.table], scope ? "the scope" : "rows held"),
    };
  });
}

function idsAt(cursor: Cursor, at: number, set: Uint32Array, setName: string): Ids | null {
  if (at < 0) return null;
  cursor.at = at;
  return idsHere(cursor, set, setName);
}

function idsHere(cursor: Cursor, set: Uint32Array, setName: string): Ids {
  const stands = shapeAt(cursor);
  const shape = stands === "array" ? "gaps" : stands === "bin" ? `bitmap over ${setName}` : `all ${setName}`;
  return { shape, ids: readIds(cursor, set) };
}

function wholeRows(cursor: Cursor, { wholeAt }: Chunk, fields: readonly Field[]): Rows | null {
  if (wholeAt < 0) return null;
  cursor.at = wholeAt;
  if (cursor.array() !== fields.length + 1) refuse("whole rows of another number of columns");
  const ids = readGaps(cursor);
  return { ids, shape: "gaps", columns: fields.map((field) => place(cursor, field)) };
}

function blocksOf(
  cursor: Cursor,
  { blocksAt, blocks }: Chunk,
  fields: readonly Field[],
  set: Uint32Array,
  setName: string,
): Rows[] {
  const found: Rows[] = [];
  cursor.at = blocksAt;
  for (let left = blocks; left > 0; left--) {
    const items = enterKnown(cursor);
    if (items < 0) continue; // of a later version
    const ids = idsHere(cursor, set, setName);
    const columns: ColumnPlace[] = [];
    for (let pairs = (items - 1) / 2; pairs > 0; pairs--) {
      columns.push(place(cursor, fields[cursor.integer(0, fields.length - 1)]));
    }
    found.push({ ...ids, columns });
  }
  return found;
}

function place(cursor: Cursor, field: Field): ColumnPlace {
  const { at } = cursor;
  cursor.skip();
  return { field, at };
}

/** One column as it travels. */
export interface Column {
  readonly field: Field;
  /** How it is packed. */
  readonly shape: string;
  /** For each row an integer, a difference, or an object: text, bytes, a packed value. */
  readonly items: readonly unknown[];
  /** For each row whether its item is added to what the row holds. */
  readonly added: (row: number) => boolean;
}

const never = () => false;

/** Reads the column of so many rows; throws ProtocolError when it is malformed. */
export function readColumn(bytes: Uint8Array, { field, at }: ColumnPlace, rows: number): Column {
  const cursor = new Cursor(bytes, at);
  if (field.isObject) return { field, shape: "one item a row", items: cursor.value() as unknown[], added: never };
  const stands = shapeAt(cursor);
  if (stands === "integer") {
    const integer = cursor.integer(field.lowest, field.highest);
    return { field, shape: "one value for all", items: new Array(rows).fill(integer), added: never };
  }
  if (stands === "array") return readDifferences(cursor, field);
  const bin = cursor.bin();
  if (field.kind !== "bool") return { field, ...readAbsolute(bin, rows, field), added: never };
  const items = Array.from({ length: rows }, (_, row) => (bin[row >> 3] >> (row & 7)) & 1);
  return { field, shape: "bits", items, added: never };
}

function readAbsolute(bin: Uint8Array, rows: number, { kind }: Field): { shape: string; items: number[] } {
  const width = rows ? bin.length / rows : 1;
  if (width !== 1 && width !== 2 && width !== 4) refuse("a column of no width");
  const view = new DataView(bin.buffer, bin.byteOffset, bin.length);
  const signed = kind === "int";
  const bits = (width * 8) as 8 | 16 | 32;
  const read = (row: number) => view[`get${signed ? "Int" : "Uint"}${bits}`](row * width, true);
  return { shape: `absolute ${signed ? "i" : "u"}${bits}`, items: Array.from({ length: rows }, (_, row) => read(row)) };
}

function readDifferences(cursor: Cursor, field: Field): Column {
  const bins = cursor.array();
  const steps = cursor.bin();
  const items = Array.from(steps, (step) => (step << 24) >> 24);
  if (bins === 1) return { field, shape: "differences", items, added: () => true };
  const escapes = steps.filter((step) => step === 0x80).length;
  const large = readAbsolute(cursor.bin(), escapes, field);
  let next = 0;
  const mixed = items.map((item) => (item === -128 ? large.items[next++] : item));
  const shape = `differences, ${escapes} of them ${large.shape}`;
  return { field, shape, items: mixed, added: (row) => steps[row] !== 0x80 };
}
