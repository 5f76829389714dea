// The schema: which tables, fields and inputs a room has. It comes with the welcome, so no client needs generated code.

import { refuse } from "./errors.js";
import { asArray, asMap, type Field, integerFrom, MOST_ID, readField, textFrom } from "./fields.js";

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

const INPUT_TYPES = ["bool", "int", "float", "str", "bytes"];

/** The schema of a welcome; throws ProtocolError 1007 when this client could not read the room's frames by it. */
export function readSchema(map: unknown): Schema {
  const wire = asMap(map);
  const tables = asArray(wire.tables).map(readTable);
  checkTables(tables);
  return { tables, input: (wire.input ?? null) === null ? null : readInput(wire.input) };
}

function readTable(map: unknown): TableSchema {
  const wire = asMap(map);
  const { single = false, of = null } = wire;
  if (typeof single !== "boolean") refuse("single is true or false");
  const fields = asArray(wire.fields).map(readField);
  return { name: textFrom(wire.name), fields, single, of: of === null ? null : integerFrom(of, 0, MOST_ID) };
}

/** What single tables do not tell: names that are there twice, and indices that lead nowhere. */
function checkTables(tables: TableSchema[]): void {
  if (new Set(tables.map((table) => table.name)).size < tables.length) refuse("two tables of one name");
  const isMain = (index: number) => tables[index]?.of === null;
  const names = tables.map(() => new Set<string>());
  tables.forEach(({ name, fields, single, of }, index) => {
    if (of !== null && (single || !isMain(of))) refuse(`${name} is a companion of no table, or is single`);
    const known = names[of ?? index];
    for (const field of fields) {
      if (known.has(field.name)) refuse(`${name}.${field.name} is there twice`);
      known.add(field.name);
      if (field.kind === "reference" && !isMain(field.table)) refuse(`${name}.${field.name} refers to no table`);
    }
  });
}

function readInput(map: unknown): InputSchema {
  const wire = asMap(map);
  const fields = asArray(wire.fields).map(readInputField);
  const perTick = integerFrom(wire.per_tick ?? 1, 1, Number.MAX_SAFE_INTEGER);
  return { name: textFrom(wire.name), fields, perTick, missing: textFrom(wire.missing ?? "repeat") };
}

function readInputField(map: unknown): InputField {
  const wire = asMap(map);
  const type = textFrom(wire.type) as InputField["type"];
  if (!INPUT_TYPES.includes(type)) refuse(`an input field of the unknown type ${type}`);
  const bound = (value: unknown) =>
    value === undefined || value === null || typeof value === "number"
      ? (value ?? null)
      : refuse("a bound is a number");
  const [low, high, maxLength] = [wire.low, wire.high, wire.max_length].map(bound);
  return { name: textFrom(wire.name), type, default: wire.default, low, high, maxLength };
}
