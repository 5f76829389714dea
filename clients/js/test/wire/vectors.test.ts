// The client passes every golden vector: those files hold all clients to one protocol.

import { decode } from "@msgpack/msgpack";
import { describe, expect, test } from "vitest";
import { BaselineError, ProtocolError } from "../../src/wire/errors.js";
import { readField, toNumber } from "../../src/wire/fields.js";
import { bucketSums, digestBuckets, rowHashes, sumOf } from "../../src/wire/hash.js";
import * as messages from "../../src/wire/messages.js";
import { Replica } from "../../src/wire/replica.js";
import { readSchema } from "../../src/wire/schema.js";
import {
  fromHex,
  fromJson,
  type Json,
  onTheWire,
  plain,
  plainChanges,
  plainTables,
  toHex,
  vectors,
} from "./vectors.js";

const SUITES = ["replica", "refused", "schemas", "fields", "hash", "digests", "messages", "refused-messages"];

test("every file that is for clients is read here", () => {
  expect(new Set(vectors().map((each) => each.suite))).toEqual(new Set([...SUITES, "hellos"]));
});

function refusal(act: () => unknown): number {
  try {
    act();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return 0;
}

function apply(replica: Replica, hex: string) {
  const message = messages.readMessage(fromHex(hex));
  return message.type === "frame" ? { frame: message.frame, changes: replica.apply(message.frame) } : null;
}

const HEADER = ["tick", "back", "sequence", "marginMs", "clientTime", "waitedUs", "window"] as const;

/** What the vectors say of a step, as this replica does it. */
function play(replica: Replica, hex: string): Json {
  try {
    const done = apply(replica, hex);
    if (!done) return { result: "skipped" };
    const { frame, changes } = done;
    const names = HEADER.map((name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
    return {
      result: "applied",
      header: Object.fromEntries(names.map((name, i) => [name, frame.header[HEADER[i]]])),
      said_hash: frame.hash,
      held_hash: replica.hash(),
      in_sync: replica.check(frame),
      changes: plainChanges(changes),
      tables: plainTables(replica),
    };
  } catch (error) {
    if (error instanceof BaselineError) return { result: "baseline" };
    if (error instanceof ProtocolError) return { result: "refused" };
    throw error;
  }
}

describe.each(vectors("replica"))("$file", ({ vector }) => {
  test("holds what it should", () => {
    const replica = new Replica(readSchema(onTheWire(vector.schema)));
    for (const { note, message, ...expected } of vector.steps) {
      expect(play(replica, message), note).toEqual(plain(expected));
    }
  });
});

describe.each(vectors("refused"))("$file", ({ vector }) => {
  test.each(vector.cases as Json[])("refuses $note", ({ message }) => {
    const replica = new Replica(readSchema(onTheWire(vector.schema)));
    apply(replica, vector.before);
    expect(refusal(() => apply(replica, message))).toBe(1007);
  });
});

describe.each(vectors("schemas"))("$file", ({ vector }) => {
  test.each(vector.cases as Json[])("refuses $note", ({ schema }) => {
    expect(refusal(() => readSchema(onTheWire(schema)))).toBe(1007);
  });
});

test.each(vectors("fields").flatMap(({ vector }) => vector.cases as Json[]))("values of $field.kind", (each) => {
  const field = readField(onTheWire(each.field));
  expect([field.lowest, field.highest]).toEqual([each.lowest, each.highest]);
  const values = each.integers.map((n: number) => (field.kind === "bool" ? n === 1 : toNumber(field, n)));
  expect(values.map(plain)).toEqual(each.values.map(plain));
});

function hashOf(row: Json): Uint32Array {
  const columns = row.integers.map((n: number) => {
    const column = new (n < 0 ? Int32Array : Uint32Array)(row.id + 1);
    column[row.id] = n;
    return column;
  });
  return rowHashes(row.table, Uint32Array.of(row.id), columns);
}

test("hashes of rows", () => {
  for (const { vector } of vectors("hash")) {
    for (const row of vector.rows) expect(hashOf(row)[0]).toBe(row.hash);
    expect(sumOf(Uint32Array.from(vector.rows as Json[], (row) => row.hash))).toBe(vector.sum);
  }
});

test.each(vectors("digests").flatMap(({ vector }) => vector.cases as Json[]))("digests of $note", (each) => {
  const buckets = digestBuckets(each.tables);
  expect(buckets).toBe(each.digests.length ? each.buckets : 0);
  const made = each.digests.map((_: string, table: number) => {
    const rows = each.rows.filter((row: Json) => row.table === table);
    const hashes = Uint32Array.from(rows as Json[], (row) => hashOf(row)[0]);
    const ids = Uint32Array.from(rows as Json[], (row) => row.id);
    return toHex(bucketSums(ids, hashes, buckets));
  });
  expect(made).toEqual(each.digests);
});

const cases = (from: string): Json[] =>
  vectors("messages").flatMap(({ vector }) => (vector.from === from ? vector.cases : []));

function encode([, ...items]: Json[], kind: string): Uint8Array {
  if (kind === "hello") {
    const { room_id: roomId, ...fields } = items[0];
    return messages.encodeHello({ ...fields, roomId });
  }
  if (kind === "input") {
    const [sequence, tick, acknowledged, clientTime] = items[0];
    return messages.encodeInput(sequence, tick, acknowledged, clientTime, items[1]);
  }
  const encoders: Json = {
    acknowledge: messages.encodeAcknowledge,
    message: messages.encodeMessage,
    request: messages.encodeRequest,
    resync: messages.encodeResync,
  };
  return encoders[kind](...items);
}

test.each(cases("client"))("writes $kind: $note", ({ kind, items, message }) => {
  const made = encode(fromJson(items), kind);
  expect(plain(decode(made))).toEqual(plain(decode(fromHex(message))));
  expect(made.length).toBeLessThanOrEqual(message.length / 2 + 2);
});

const camel = (wire: Json) =>
  Object.fromEntries(
    Object.entries(wire).map(([key, value]) => [key.replace(/_[a-z]/g, (part) => part[1].toUpperCase()), value]),
  );

test.each(cases("server"))("reads $kind: $note", ({ kind, items, message }) => {
  const read = messages.readMessage(fromHex(message)) as Json;
  expect(read.type).toBe(kind);
  if (kind === "welcome") {
    const { schema, new_key: _, ...told } = items[1];
    expect(read.welcome).toMatchObject(camel(told));
    expect(read.welcome.schema.tables.map((table: Json) => table.name)).toEqual(["Ship"]);
    expect(read.welcome.schema.input.perTick).toBe(schema.input.per_tick ?? 1);
    expect(read.welcome.schema.input.missing).toBe(schema.input.missing ?? "repeat");
    expect(read.welcome.schema.input.fields.map((field: Json) => plain(field.default))).toEqual(
      schema.input.fields.map((field: Json) => field.default),
    );
  } else if (kind === "returned") {
    const { new: _, ...told } = items[1];
    expect(read.returned).toMatchObject(camel(told));
  } else if (kind === "message") {
    expect([read.name, plain(read.payload)]).toEqual([items[1], items[2]]);
  } else expect([read.number, read.code, plain(read.payload)]).toEqual(items.slice(1, 4));
});

test.each(vectors("refused-messages").flatMap(({ vector }) => vector.cases as Json[]))("refuses $note", (each) => {
  expect(refusal(() => messages.readMessage(fromHex(each.message)))).toBe(1007);
});
