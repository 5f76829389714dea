// What a WebSocket message says, for people: a line, or a tree of all of it. Pure.

import { Cursor, check, readValue } from "../wire/cursor.js";
import { type Frame, type FrameHeader, readFrame } from "../wire/frame.js";
import { Kind } from "../wire/messages.js";
import type { InputSchema, Schema } from "../wire/schema.js";
import { type ChunkParts, type Column, type HeldIds, type Ids, type Rows, readColumn, takeApart } from "./chunks.js";
import { count, formatDifference, formatInteger, formatValue, shorten } from "./format.js";

export type { HeldIds } from "./chunks.js";

/** A part of a message: what it is called, what it says, and its own parts. */
export interface Described {
  readonly title: string;
  readonly detail: string;
  readonly children: readonly Described[];
}

/** A message in one line. */
export interface Summary {
  readonly kind: string;
  /** The tick that it speaks of, null when it speaks of none. */
  readonly tick: number | null;
  readonly text: string;
}

export type Direction = "in" | "out";

/** Items behind the kind, by the kind's number; a frame and an input have more to say than this. */
const ITEMS: readonly (readonly [name: string, from: "in" | "out" | "both", ...items: string[]])[] = [
  ["skipped", "both"],
  ["hello", "out", "hello"],
  ["welcome", "in", "welcome"],
  ["frame", "in"],
  ["input", "out"],
  ["message", "both", "name", "payload", "number"],
  ["acknowledge", "out", "tick", "client_time"],
  ["resync", "out", "tick", "expected hash", "found hash", "digests"],
  ["request", "out", "number", "name", "payload"],
  ["reply", "in", "number", "code", "payload"],
  ["returned", "in", "returned"],
];
const INPUT_HEADER = ["sequence", "tick", "acknowledged", "client_time"];
const FRAME_HEADER: readonly (readonly [keyof FrameHeader, string])[] = [
  ["tick", "tick"],
  ["back", "back"],
  ["sequence", "sequence"],
  ["marginMs", "margin_ms"],
  ["clientTime", "client_time"],
  ["waitedUs", "waited_us"],
  ["window", "window"],
];
/** What gives a seat or an account to whoever reads it over somebody's shoulder, or in a bug report. */
const SECRET = /^(token|password|seat|invite)$/;
/** So many ids are written out where there is one line for them. */
const MOST_IDS = 30;

/** Everything that a message says. What does not fit the protocol, or the ids held, is told and not thrown. */
export function describeMessage(
  bytes: Uint8Array,
  schema: Schema | null,
  direction: Direction,
  heldIds: HeldIds,
): Described {
  try {
    const { kind, items, cursor } = open(bytes);
    const name = kindName(kind, direction);
    if (name === "frame") return describeFrame(readFrame(cursor, items), schema, heldIds);
    const values = Array.from({ length: items }, () => cursor.value());
    if (name === "input") return describeInput(values, schema?.input ?? null);
    const names = ITEMS[kind]?.slice(2) ?? [];
    const parts = values.map((value, i) => describeValue(names[i] ?? `item ${i + 2}`, value));
    return node(name, `kind ${kind}`, parts.length === 1 && parts[0].title === name ? parts[0].children : parts);
  } catch (error) {
    return node("malformed", reason(error));
  }
}

/** A message in one line; reads of a frame no more than which rows it speaks of. */
export function summarize(bytes: Uint8Array, schema: Schema | null, direction: Direction, heldIds: HeldIds): Summary {
  try {
    const { kind, items, cursor } = open(bytes);
    const name = kindName(kind, direction);
    if (name === "frame") return summarizeFrame(readFrame(cursor, items), schema, heldIds);
    const values = Array.from({ length: items }, () => cursor.value());
    return { kind: name, tick: tickOf(name, values), text: shorten(lineOf(name, values, schema), 200) };
  } catch (error) {
    return { kind: "malformed", tick: null, text: reason(error) };
  }
}

/** The number of a message's kind, without looking at anything else; of what is no message any number. */
export function peekKind(bytes: Uint8Array): number {
  const at = bytes[0] === 0xdc ? 3 : bytes[0] === 0xdd ? 5 : 1;
  const isWide = bytes[at] >= 0xcc && bytes[at] <= 0xd3;
  return bytes[isWide ? at + (1 << (bytes[at] & 3)) : at]; // the last byte of a wider integer
}

function open(bytes: Uint8Array): { kind: number; items: number; cursor: Cursor } {
  check(bytes);
  const cursor = new Cursor(bytes);
  const items = cursor.array() - 1;
  return { kind: cursor.integer(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY), items, cursor };
}

function kindName(kind: number, direction: Direction): string {
  const [name, from] = ITEMS[kind] ?? [];
  return from === "both" || from === direction ? name : "skipped";
}

function node(title: string, detail = "", children: readonly Described[] = []): Described {
  return { title, detail, children };
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// -- all but frames

/** Any value: maps and arrays with their parts. */
function describeValue(title: string, value: unknown): Described {
  if (SECRET.test(title) && typeof value === "string" && value) return node(title, `(${value.length} characters)`);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array)
    return node(title, formatValue(value));
  const parts: [string, unknown][] = Array.isArray(value)
    ? value.map((item, i) => [nameOf(item) ?? String(i), item])
    : Object.entries(value);
  const children = parts.map(([name, item]) => describeValue(name, item));
  return node(title, count(parts.length, Array.isArray(value) ? "item" : "key"), children);
}

/** Tables and fields of a schema are known by their names. */
function nameOf(item: unknown): string | null {
  const name = typeof item === "object" && item !== null ? (item as Record<string, unknown>).name : null;
  return typeof name === "string" ? name : null;
}

function describeInput([header, values]: unknown[], input: InputSchema | null): Described {
  const named = (names: readonly string[], items: unknown) =>
    (items as unknown[]).map((item, i) => describeValue(names[i] ?? `item ${i + 1}`, item));
  const fields = input?.fields.map((field) => field.name) ?? [];
  return node("input", `kind ${Kind.INPUT}`, [
    node("header", "", named(INPUT_HEADER, header)),
    node(input?.name ?? "values", "", named(fields, values)),
  ]);
}

function tickOf(kind: string, values: readonly unknown[]): number | null {
  if (kind === "input") return (values[0] as number[])[1] ?? null;
  if (kind === "acknowledge" || kind === "resync") return values[0] as number;
  if (kind === "welcome" || kind === "returned") return (values[0] as { tick: number }).tick;
  return null;
}

function lineOf(kind: string, values: readonly unknown[], schema: Schema | null): string {
  const map = values[0] as Record<string, unknown>;
  switch (kind) {
    case "input":
      return inputLine(values, schema?.input ?? null);
    case "message":
      return `${values[0]} ${formatValue(values[1])}`;
    case "request":
      return `#${values[0]} ${values[1]} ${formatValue(values[2])}`;
    case "reply":
      return `#${values[0]} ${values[1] === null ? "" : `refused: ${values[1]} `}${formatValue(values[2])}`;
    case "hello":
      return [map.name, map.method, map.spectate && "spectator", map.seat && "with a seat"].filter(Boolean).join(", ");
    case "welcome":
      return `${map.room} ${map.room_id}, player ${map.player}, ${map.tick_rate} Hz`;
    case "returned":
      return `player ${map.player}, ${map.inputs} inputs and ${map.messages} messages had come`;
    case "resync":
      return values[1] || values[2] ? `hash ${values[1]} expected, ${values[2]} found` : "a frame did not fit";
    default:
      return "";
  }
}

function inputLine([header, values]: readonly unknown[], input: InputSchema | null): string {
  const said = (values as unknown[]).map((value, i) => {
    const name = input?.fields[i]?.name ?? String(i);
    return value === true ? name : value === false ? "" : `${name} ${formatValue(value)}`;
  });
  return `#${(header as number[])[0]} ${said.filter(Boolean).join(", ") || "-"}`;
}

// -- frames

function summarizeFrame(frame: Frame, schema: Schema | null, heldIds: HeldIds): Summary {
  const { tick, back } = frame.header;
  const words = [back === 0 ? "full" : back === 1 ? "" : `${back} ticks`, frame.hash === null ? "" : "hash"];
  try {
    words.push(schema ? countRows(takeApart(frame, schema, heldIds), schema) : "");
  } catch (error) {
    words.push(reason(error));
  }
  return { kind: "frame", tick, text: words.filter(Boolean).join(", ") || "nothing" };
}

/** For each table how many rows came (+), changed (~) and went (-). */
function countRows(chunks: readonly ChunkParts[], schema: Schema): string {
  const told = schema.tables.map(() => ({ whole: 0, changed: new Set<number>(), removed: 0 }));
  for (const { table, removed, whole, blocks } of chunks) {
    told[table].whole += whole?.ids.length ?? 0;
    told[table].removed += removed?.ids.length ?? 0;
    for (const { ids } of blocks) for (const id of ids) told[table].changed.add(id);
  }
  const lines = told.map(({ whole, changed, removed }, table) => {
    const parts = [whole && `+${whole}`, changed.size && `~${changed.size}`, removed && `-${removed}`].filter(Boolean);
    return parts.length ? `${schema.tables[table].name} ${parts.join(" ")}` : "";
  });
  return lines.filter(Boolean).join("; ");
}

function describeFrame(frame: Frame, schema: Schema | null, heldIds: HeldIds): Described {
  const { header, hash } = frame;
  const items = FRAME_HEADER.map(([key, name]) => node(name, formatValue(header[key])));
  const parts = [node("header", "", items), node("hash", formatValue(hash))];
  try {
    if (schema) parts.push(...takeApart(frame, schema, heldIds).map((chunk) => describeChunk(frame, chunk, schema)));
  } catch (error) {
    parts.push(node("chunks", `do not fit the rows held: ${reason(error)}`));
  }
  const from = header.back === 0 ? "full" : `from tick ${header.tick - header.back}`;
  return node("frame", `tick ${header.tick}, ${from}`, parts);
}

function describeChunk(frame: Frame, chunk: ChunkParts, schema: Schema): Described {
  const { table, scope, removed, whole, blocks } = chunk;
  const parts: Described[] = [];
  if (scope) parts.push(describeIds("scope", scope));
  if (removed) parts.push(describeIds("removed", removed));
  if (whole) parts.push(describeRows("whole", frame, whole, schema));
  blocks.forEach((block, i) => {
    parts.push(describeRows(blocks.length > 1 ? `block ${i + 1}` : "block", frame, block, schema));
  });
  return node(schema.tables[table].name, `table ${table}, ${count(parts.length, "part")}`, parts);
}

function describeIds(title: string, { ids, shape }: Ids): Described {
  return node(title, `${listed(ids)} (${shape})`);
}

function listed(ids: Uint32Array): string {
  const some = Array.from(ids.subarray(0, MOST_IDS)).join(", ");
  return ids.length > MOST_IDS ? `${some} ... ${ids.length} in all` : some || "none";
}

/** The ids, how each field is packed, and each row with its fields. */
function describeRows(title: string, { bytes }: Frame, rows: Rows, schema: Schema): Described {
  const { ids } = rows;
  const columns = rows.columns.map((place) => readColumn(bytes, place, ids.length));
  const packed = columns.map((column) => node(column.field.name, column.shape));
  const told = Array.from(ids, (id, row) => describeRow(id, row, columns, schema));
  const fields = columns.map((column) => column.field.name).join(", ");
  return node(title, `${count(ids.length, "row")}: ${fields}`, [
    describeIds("ids", rows),
    node("packed", "", packed),
    node("rows", count(ids.length, "row"), told),
  ]);
}

function describeRow(id: number, row: number, columns: readonly Column[], schema: Schema): Described {
  const fields = columns.map((column) => node(column.field.name, formatItem(column, row, schema)));
  return node(String(id), fields.map(({ title, detail }) => `${title} ${shorten(detail, 24)}`).join(", "), fields);
}

function formatItem({ field, items, added }: Column, row: number, schema: Schema): string {
  const item = items[row];
  if (field.isObject) return formatValue(field.kind === "value" ? readValue(item as Uint8Array) : item);
  if (added(row)) return formatDifference(field, item as number);
  const told = formatInteger(field, item as number, schema);
  return told === String(item) ? told : `${told} = ${item}`;
}
