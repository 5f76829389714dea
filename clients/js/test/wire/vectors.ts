// The golden vectors as the repository has them (protocol/vectors/README.md).

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { encode } from "@msgpack/msgpack";
import { Cursor } from "../../src/wire/cursor.js";
import type { Replica, TableChanges } from "../../src/wire/replica.js";

const FOLDER = join(import.meta.dirname, "..", "..", "..", "..", "protocol", "vectors");

// biome-ignore lint/suspicious/noExplicitAny: JSON of many shapes
export type Json = any;

export interface VectorFile {
  readonly file: string;
  readonly suite: string;
  readonly vector: Json;
}

/** All files, or those of one suite. */
export function vectors(suite?: string): VectorFile[] {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith(".json"));
  const all = files.map((file) => {
    const vector = JSON.parse(readFileSync(join(FOLDER, file), "utf8"));
    return { file, suite: vector.suite as string, vector };
  });
  return all.filter((each) => suite === undefined || each.suite === suite);
}

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

/** A schema, or a field of one, as a cursor finds it in a welcome. */
export function onTheWire(json: Json): Cursor {
  return new Cursor(encode(fromJson(json)));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** A value as the vectors have it: bytes as {"bytes": hex}, numbers that are not whole rounded to 9 digits. */
export function plain(value: unknown): Json {
  if (value instanceof Uint8Array) return { bytes: toHex(value) };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null) {
    if ("alive" in value) return (value as unknown as { id: number }).id;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return typeof value === "number" && !Number.isSafeInteger(value) ? Number(value.toPrecision(9)) : value;
}

/** The other way of `plain`. */
export function fromJson(item: Json): Json {
  if (Array.isArray(item)) return item.map(fromJson);
  if (typeof item !== "object" || item === null) return item;
  const keys = Object.keys(item);
  if (keys.length === 1 && keys[0] === "bytes") return fromHex(item.bytes);
  return Object.fromEntries(Object.entries(item).map(([key, inner]) => [key, fromJson(inner)]));
}

/** What a step of the suite `replica` says of the changes. */
export function plainChanges(changes: TableChanges[]): Json {
  return changes
    .map((change) => ({
      table: change.table.name,
      spawned: [...change.spawnedIds],
      changed: [...change.changedIds],
      despawned: [...change.despawnedIds],
    }))
    .filter(({ spawned, changed, despawned }) => spawned.length + changed.length + despawned.length > 0);
}

/** And of the tables, companions too. */
export function plainTables(replica: Replica): Json {
  return replica.allTables.map((table) => {
    const ids = [...table.ids];
    const told: Json = { name: table.name, ids, integers: {}, values: {} };
    for (const [i, field] of table.schema.fields.entries()) {
      told.integers[field.name] = ids.map((id) => table.columns[i][id]);
      told.values[field.name] = ids.map((id) => plain(table.value(field.name, id)));
      if (field.kind !== "value") continue;
      told.packed ??= {};
      told.packed[field.name] = ids.map((id) => toHex(table.packed(field.name, id) as Uint8Array));
    }
    return told;
  });
}
