// The schema: which tables, fields and inputs a room has. It comes with the welcome, so no client needs generated code.

import { type Cursor, readList, readMap } from "./cursor.js";
import { refuse } from "./errors.js";
import { type Field, MOST_ID, readField } from "./fields.js";

export type { Field, FieldKind } from "./fields.js";

export interface Schema {
  readonly tables: readonly TableSchema[];
  /** What an input holds; null when the room takes none. */
  readonly input: InputSchema | null;
}

/** One entity type, or the private fields of one for an audience. */
export interface TableSchema {
  readonly name: string;
  readonly fields: readonly Field[];
  /** Room-wide state: one row, whose id is 1. */
  readonly single: boolean;
  /** Of a companion the index of its main table, whose rows it says more of; null of main tables. */
  readonly of: number | null;
}

export interface InputSchema {
  readonly name: string;
  /** In the order in which values travel. */
  readonly fields: readonly InputField[];
  /** How many waiting inputs of a player are applied in one tick. */
  readonly perTick: number;
  /** What a player without a new input does: `repeat`, `neutral`, `skip`; who meets another word should not predict. */
  readonly missing: string;
}

export interface InputField {
  readonly name: string;
  readonly type: "bool" | "int" | "float" | "str" | "bytes";
  /** What a missing value means. */
  readonly default: unknown;
  /** Inclusive bounds of numbers, null for none. */
  readonly low: number | null;
  readonly high: number | null;
  /** Of text in characters (code points), of bytes in bytes; null for none. */
  readonly maxLength: number | null;
}

/** The schema of a welcome; throws ProtocolError 1007 when this client could not read the room's frames by it. */
export function readSchema(cursor: Cursor): Schema {
  const schema = readMap<Schema>(
    cursor,
    {
      tables: () => readList(cursor, () => readTable(cursor)),
      input: () => (cursor.nil() ? null : readInput(cursor)),
    },
    { input: null },
  );
  checkTables(schema.tables);
  return schema;
}

function readTable(cursor: Cursor): TableSchema {
  return readMap<TableSchema>(
    cursor,
    {
      name: () => cursor.text(),
      fields: () => readList(cursor, () => readField(cursor)),
      single: () => cursor.boolean(),
      of: () => (cursor.nil() ? null : cursor.integer(0, MOST_ID)),
    },
    { single: false, of: null },
  );
}

/** What single tables do not tell: names that are there twice, and indices that lead nowhere. */
function checkTables(tables: readonly TableSchema[]): void {
  if (new Set(tables.map((table) => table.name)).size < tables.length) refuse("table names");
  const isMain = (index: number) => tables[index]?.of === null;
  const names = tables.map(() => new Set<string>());
  tables.forEach(({ name, fields, single, of }, index) => {
    if (of !== null && (single || !isMain(of))) refuse(`companion ${name}`);
    const known = names[of ?? index];
    for (const field of fields) {
      if (known.has(field.name)) refuse(`fields of ${name}`);
      known.add(field.name);
      if (field.kind === "reference" && !isMain(field.table)) refuse(`reference ${name}.${field.name}`);
    }
  });
}

function readInput(cursor: Cursor): InputSchema {
  return readMap<InputSchema>(
    cursor,
    {
      name: () => cursor.text(),
      fields: () => readList(cursor, () => readInputField(cursor)),
      perTick: () => cursor.integer(1, Number.MAX_SAFE_INTEGER),
      missing: () => cursor.text(),
    },
    { perTick: 1, missing: "repeat" },
  );
}

function readInputField(cursor: Cursor): InputField {
  const bound = () => (cursor.nil() ? null : cursor.number(-Number.MAX_VALUE, Number.MAX_VALUE));
  const field = readMap<InputField>(
    cursor,
    {
      name: () => cursor.text(),
      type: () => cursor.text() as InputField["type"],
      default: () => cursor.value(),
      low: bound,
      high: bound,
      maxLength: bound,
    },
    { low: null, high: null, maxLength: null },
  );
  if (!/^(bool|int|float|str|bytes)$/.test(field.type)) refuse(`type ${field.type}`);
  return field;
}
