// Values as people read them. Pure.

import { type Field, toNumber } from "../wire/fields.js";
import type { Schema } from "../wire/schema.js";

/** Longer texts are cut off where there is one line for them. */
const MOST_CHARACTERS = 80;
/** Bytes in one line of a dump. */
const DUMP_BYTES = 16;

/** A number with as many digits as say something: 5 significant ones, whole numbers in full. */
export function formatNumber(value: number): string {
  if (Number.isInteger(value) || !Number.isFinite(value)) return String(value);
  const short = Number(value.toPrecision(5));
  return String(Math.abs(value) >= 1e5 ? Math.round(value) : short);
}

export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  const [size, unit] = bytes < 1e6 ? [bytes / 1e3, "kB"] : [bytes / 1e6, "MB"];
  return `${size.toFixed(size < 10 ? 2 : size < 100 ? 1 : 0)} ${unit}`;
}

/** A duration in milliseconds, or in seconds when it is long; "-" while it is not known. */
export function formatSeconds(seconds: number | null): string {
  if (seconds === null) return "-";
  if (Math.abs(seconds) >= 10) return `${seconds.toFixed(1)} s`;
  const ms = seconds * 1000;
  return `${ms.toFixed(Math.abs(ms) < 10 ? 1 : 0)} ms`;
}

/** The time of day, with milliseconds. */
export function formatTime(milliseconds: number): string {
  const date = new Date(milliseconds);
  const two = (part: number) => String(part).padStart(2, "0");
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${clock}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** "1 row", "2 rows". */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Lines of offset, bytes, and the characters that they are in ASCII. */
export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += DUMP_BYTES) {
    const part = bytes.subarray(at, at + DUMP_BYTES);
    const hex = toHex(part).replace(/..(?!$)/g, "$& ");
    const text = Array.from(part, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex.padEnd(DUMP_BYTES * 3)} ${text}`);
  }
  return lines.join("\n");
}

/** A value as JSON would have it, where bytes are {"bytes": hex} as in the protocol's examples. */
export function toJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: toHex(value) };
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item)]));
}

/** Any decoded value in full, in one line. */
export function formatValue(value: unknown): string {
  if (value === null || value === undefined) return "nil";
  if (value instanceof Uint8Array) return value.length ? `${value.length} B ${toHex(value)}` : "0 B";
  if (typeof value === "number") return formatNumber(value);
  return JSON.stringify(toJson(value));
}

export function shorten(text: string, most = MOST_CHARACTERS): string {
  return text.length > most ? `${text.slice(0, most - 3)}...` : text;
}

/** What an integer of a number field stands for. */
export function formatInteger(field: Field, integer: number, schema: Schema): string {
  const { kind } = field;
  if (kind === "bool") return integer === 1 ? "true" : "false";
  if (kind === "owner") return integer ? `player ${integer}` : "nobody";
  if (kind === "reference") return integer ? `${schema.tables[field.table]?.name ?? "row"} ${integer}` : "nobody";
  const value = toNumber(field, integer);
  if (kind === "angle") return `${formatNumber(value)} (${Math.round((value * 180) / Math.PI)} deg)`;
  return kind === "fixed" ? trimmed(value, field.step) : formatNumber(value);
}

/** What a difference of integers stands for, with its sign. */
export function formatDifference(field: Field, difference: number): string {
  const sign = difference < 0 ? "" : "+";
  const step = field.kind === "fixed" ? field.step : field.kind === "angle" ? (2 * Math.PI) / 2 ** field.bits : 1;
  if (step === 1) return `${sign}${difference}`;
  return `${sign}${trimmed(difference * step, step)} (${sign}${difference} steps)`;
}

/** As many decimals as a step tells apart, 6 at most. */
function trimmed(value: number, step: number): string {
  const decimals = Math.min(6, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
  return String(Number(value.toFixed(decimals)));
}
