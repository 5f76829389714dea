// Values and ends in words. All of it is shown as text.

/** @typedef {import("/client.js").Field} Field */

/** Longer texts are cut, in characters: somebody else may have written them. */
const MOST_CHARACTERS = 2000;

/**
 * A payload as a person reads it: JSON, with bytes and what JSON does not know made visible.
 * @param {unknown} payload
 * @param {number} [most] characters
 */
export function payloadText(payload, most = MOST_CHARACTERS) {
  if (payload === null || payload === undefined) return "null";
  let text;
  try {
    text = JSON.stringify(payload, (_, value) => {
      if (value instanceof Uint8Array) return `bytes ${hex(value)}`;
      if (typeof value === "bigint" || (typeof value === "number" && !Number.isFinite(value))) return String(value);
      return value instanceof Map ? Object.fromEntries(value) : value;
    });
  } catch (error) {
    text = String(error);
  }
  return cut(text ?? String(payload), most);
}

/** @param {string} text @param {number} most characters */
export function cut(text, most) {
  return text.length > most ? `${text.slice(0, most)}... (${text.length} characters)` : text;
}

/** @param {Uint8Array} bytes */
function hex(bytes) {
  const shown = Array.from(bytes.subarray(0, 64), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return bytes.length > 64 ? `${shown}... (${bytes.length})` : shown;
}

/**
 * A field of a row in words.
 * @param {Field} field
 * @param {unknown} value
 * @param {number} player the own one
 */
export function fieldText(field, value, player) {
  if (value === null || value === undefined) return field.kind === "reference" ? "nobody" : "";
  if (field.kind === "owner") {
    return value === 0 ? "nobody" : value === player ? `player ${value} (you)` : `player ${value}`;
  }
  if (field.kind === "reference") return `${rowName(value)}`;
  if (field.kind === "angle")
    return `${rounded(Number(value), 3)} (${Math.round((Number(value) * 180) / Math.PI)}\u00b0)`;
  if (typeof value === "number") return rounded(value, field.kind === "fixed" ? decimals(field.step) : 4);
  if (value instanceof Uint8Array) return hex(value);
  return typeof value === "string" ? cut(value, MOST_CHARACTERS) : payloadText(value);
}

/** @param {any} row */
function rowName(row) {
  return `#${row.id}${typeof row.name === "string" && row.name ? ` ${cut(row.name, 40)}` : ""}`;
}

/** @param {number} value @param {number} places behind the point at most */
export function rounded(value, places) {
  const power = 10 ** places;
  return String(Math.round(value * power) / power);
}

/** Decimal places that show steps of this size. @param {number} step */
function decimals(step) {
  return Math.max(0, Math.min(4, Math.ceil(-Math.log10(step) + 1e-9)));
}

/** In words for who writes the room; protocol/SPEC.md, section 16. */
const ENDS = new Map([
  [1000, "It is over"],
  [1001, "The server stops"],
  [1006, "No connection"],
  [1008, "You were sent out of the room"],
  [1011, "The room failed: the server's log says why"],
  [1012, "The server restarts"],
  [1013, "The server is busy"],
  [4002, "Joining took too long"],
  [4003, "The server does not let you in"],
  [4004, "There is no such room"],
  [4005, "This page and the server are of different versions"],
  [4006, "The input did not fit"],
  [4008, "The connection was too slow"],
  [4010, "This room is full"],
  [4011, "This room is locked"],
  [4012, "This room has a password, and this was not it"],
  [4013, "The seat is gone"],
  [4014, "The seat was taken over by another page"],
  [4015, "Joining like this is not possible"],
]);

/** After these it may work in a while. */
const PASSING = [1001, 1006, 1011, 1012, 1013, 4002, 4008, 4013];

/** @param {number} code of the close */
export function endWords(code) {
  return ENDS.get(code) ?? "The connection has ended";
}

/** Whether to join again without being asked. @param {number} code */
export function passes(code) {
  return PASSING.includes(code);
}
