// Every frame of the golden vectors can be told to people, and what is told is what the vectors say.

import { encode } from "@msgpack/msgpack";
import { describe, expect, test } from "vitest";
import { type Described, describeMessage, peekKind, summarize } from "../../src/overlay/describe.js";
import { formatInteger, formatValue } from "../../src/overlay/format.js";
import { readMessage } from "../../src/wire/messages.js";
import { Replica } from "../../src/wire/replica.js";
import type { Schema } from "../../src/wire/schema.js";
import { fromHex, fromJson, type Json, vectors } from "../wire/vectors.js";

const EMPTY = new Uint32Array();

/** A schema as a welcome brings it. */
function readSchema(schema: Json): Schema {
  const message = readMessage(encode([2, { room: "r", room_id: "1", player: 1, tick: 0, tick_rate: 20, schema }]));
  if (message.type !== "welcome") throw new Error("no welcome");
  return message.welcome.schema;
}

function child(node: Described, ...titles: string[]): Described {
  return titles.reduce((at, title) => {
    const found = at.children.find((each) => each.title === title);
    if (!found) throw new Error(`${at.title} has no ${title}: ${at.children.map((each) => each.title)}`);
    return found;
  }, node);
}

/** All parts of that name, of a frame's chunks. */
function parts(told: Described, name: RegExp): [string, Described][] {
  return told.children.flatMap((chunk) =>
    chunk.children.filter((part) => name.test(part.title)).map((part): [string, Described] => [chunk.title, part]),
  );
}

/** What a row of a table says in a vector, as it is to be told. */
function expected(schema: Schema, step: Json, table: number, id: string): Record<string, string> {
  const said = step.tables[table];
  const row = said.ids.indexOf(Number(id));
  return Object.fromEntries(
    schema.tables[table].fields.map((field) => {
      if (field.isObject) return [field.name, formatValue(fromJson(said.values[field.name][row]))];
      const integer = said.integers[field.name][row];
      const text = formatInteger(field, integer, schema);
      return [field.name, text === String(integer) ? text : `${text} = ${integer}`];
    }),
  );
}

function checkWholeRows(told: Described, schema: Schema, step: Json): void {
  const changedToo = new Set(
    parts(told, /^block/).flatMap(([name, part]) => child(part, "rows").children.map((row) => `${name} ${row.title}`)),
  );
  for (const [name, part] of parts(told, /^whole$/)) {
    for (const row of child(part, "rows").children) {
      if (changedToo.has(`${name} ${row.title}`)) continue; // a block of the same frame says otherwise
      const table = schema.tables.findIndex((each) => each.name === name);
      const fields = Object.fromEntries(row.children.map(({ title, detail }) => [title, detail]));
      expect(fields).toEqual(expected(schema, step, table, row.title));
    }
  }
}

/** Rows of main tables that are written in a frame are those that spawned or changed. */
function checkIds(told: Described, schema: Schema, step: Json): void {
  for (const [index, table] of schema.tables.entries()) {
    if (table.of !== null || schema.tables.some((other) => other.of === index)) continue;
    const written = parts(told, /^(whole|block)/)
      .filter(([name]) => name === table.name)
      .flatMap(([, part]) => child(part, "rows").children.map((row) => Number(row.title)));
    const { spawned = [], changed = [] } = step.changes.find((each: Json) => each.table === table.name) ?? {};
    expect([...new Set(written)].sort((a, b) => a - b)).toEqual([...spawned, ...changed].sort((a, b) => a - b));
  }
}

describe.each(vectors("replica"))("$file", ({ vector }) => {
  test("is told as it is", () => {
    const schema = readSchema(vector.schema);
    const replica = new Replica(schema);
    for (const step of vector.steps) {
      const bytes = fromHex(step.message);
      const held = replica.allTables.map((table) => table.ids);
      const told = describeMessage(bytes, schema, "in", (table) => held[table]);
      const { kind, tick } = summarize(bytes, schema, "in", (table) => held[table]);
      if (step.result === "applied") {
        expect([told.title, kind, tick, peekKind(bytes)]).toEqual(["frame", "frame", step.header.tick, 3]);
        for (const [name, item] of Object.entries(step.header)) {
          expect(child(told, "header", name).detail).toBe(formatValue(item));
        }
        checkWholeRows(told, schema, step);
        checkIds(told, schema, step);
      }
      const message = step.result === "refused" ? null : readMessage(bytes);
      if (message?.type === "frame" && step.result === "applied") replica.apply(message.frame);
    }
  });
});

test("differences are told as such, in steps and in units", () => {
  const schema = readSchema({
    tables: [
      {
        name: "Ship",
        fields: [
          { kind: "fixed", name: "x", low: 0, step: 0.0625, count: 64001 },
          { kind: "uint", name: "ammo", bits: 8 },
        ],
      },
    ],
    input: null,
  });
  const bytes = fromHex(
    "940397cd03e901000000000000c09500c0c0c095c00091c40218f80192c402ff80c401c8".replace("00000000", "00"),
  );
  const told = describeMessage(repaired(bytes), schema, "in", () => Uint32Array.of(2, 5));
  const block = child(told, "Ship", "block");
  expect(child(block, "ids").detail).toBe("2, 5 (all rows held)");
  expect(child(block, "packed").children.map((each) => `${each.title}: ${each.detail}`)).toEqual([
    "x: differences",
    "ammo: differences, 1 of them absolute u8",
  ]);
  expect(child(block, "rows", "2").children.map((each) => each.detail)).toEqual(["+1.5 (+24 steps)", "-1"]);
  expect(child(block, "rows", "5").children.map((each) => each.detail)).toEqual(["-0.5 (-8 steps)", "200"]);
});

/** A frame [3, header, nil, chunk] around the chunk that these bytes end with. */
function repaired(bytes: Uint8Array): Uint8Array {
  const hex = Buffer.from(bytes).toString("hex");
  return fromHex(`940397cd03e90100c0c0c000c0${hex.slice(hex.indexOf("9500c0c0c0"))}`);
}

test("a full frame begins with no rows, whatever was held", () => {
  const schema = readSchema({
    tables: [{ name: "Ship", fields: [{ kind: "uint", name: "ammo", bits: 8 }] }],
    input: null,
  });
  const bytes = fromHex("94039701000000000000c09500c0c0c093c00007");
  const told = describeMessage(bytes, schema, "in", () => Uint32Array.of(2, 5));
  expect(child(told, "Ship", "block", "ids").detail).toBe("none (all rows held)");
});

test("what does not fit the rows held is told, not thrown", () => {
  const { vector } = vectors("replica").find((each) => each.file === "frames-view.json") as { vector: Json };
  const bytes = fromHex(vector.steps[1].message);
  const told = describeMessage(bytes, readSchema(vector.schema), "in", () => EMPTY);
  expect(told.title).toBe("frame");
  expect(summarize(bytes, readSchema(vector.schema), "in", () => Uint32Array.of(1)).kind).toBe("frame");
});

const messages = vectors("messages").flatMap(({ vector }) =>
  (vector.cases as Json[]).map((each) => ({ ...each, from: vector.from })),
);

test.each(messages)("tells $kind: $note", (each) => {
  const bytes = fromHex(each.message);
  const direction = each.from === "client" ? "out" : "in";
  const told = describeMessage(bytes, null, direction, () => EMPTY);
  expect([told.title, summarize(bytes, null, direction, () => EMPTY).kind]).toEqual([each.kind, each.kind]);
  expect(told.children.length).toBeGreaterThan(0);
  if (each.kind === "message") expect(child(told, "payload")).toBeDefined();
});

test.each(vectors("refused-messages").flatMap(({ vector }) => vector.cases as Json[]))("survives $note", (each) => {
  expect(describeMessage(fromHex(each.message), null, "in", () => EMPTY).title).toBeTruthy();
  expect(summarize(fromHex(each.message), null, "in", () => EMPTY).kind).toBeTruthy();
});

test.each(vectors("refused").flatMap(({ vector }) => (vector.cases as Json[]).map((each) => ({ ...each, vector }))))(
  "survives the malformed frame: $note",
  ({ message, vector }) => {
    const schema = readSchema(vector.schema);
    expect(describeMessage(fromHex(message), schema, "in", () => Uint32Array.of(1, 2, 3)).title).toBeTruthy();
    expect(summarize(fromHex(message), schema, "in", () => Uint32Array.of(1, 2, 3)).kind).toBeTruthy();
  },
);

test("seats, tokens and passwords are not shown", () => {
  const hello = messages.find((each) => each.kind === "hello" && each.items[1].seat);
  const told = JSON.stringify(describeMessage(fromHex(hello.message), null, "out", () => EMPTY));
  expect(told).not.toContain(hello.items[1].seat);
  expect(told).toContain("characters)");
});

test("kinds of the other side and of later versions are skipped", () => {
  expect(summarize(fromHex("93060102"), null, "in", () => EMPTY).kind).toBe("skipped");
  expect(summarize(fromHex("926305"), null, "in", () => EMPTY).kind).toBe("skipped");
  expect(summarize(fromHex("c1"), null, "in", () => EMPTY).kind).toBe("malformed");
});
