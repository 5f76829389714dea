// Controls for the room's input, made from its schema, and the keys that move them.

import { bindings, HeldKeys, KEY_NAMES, valueOfKeys } from "./keys.js";
import { element, make, write } from "./page.js";
import { rounded } from "./words.js";

/** @typedef {import("/client.js").Session} Session */
/** @typedef {import("/client.js").InputField} InputField */
/**
 * @typedef {object} Control
 * @property {InputField} field
 * @property {import("./keys.js").Binding[]} keys
 * @property {any} input
 * @property {HTMLElement | null} output the number of a slider
 * @property {unknown} chosen by the control itself; undefined when what is in it does not fit
 */

/** Parts that a slider has for numbers that are not whole. */
const SLIDER_PARTS = 100;
/** So many inputs must leave after everything was let go: the first may be merged with what was pressed before. */
const LAST_INPUTS = 2;

export class Controls {
  constructor() {
    /** @type {Control[]} */
    this.controls = [];
    /** @type {Session | null} */
    this.session = null;
    /** What was said last, by field. @type {Record<string, unknown>} */
    this.said = {};
    /** So many inputs must have left before nothing more needs to be said. */
    this.restAt = 0;
    this.form = element("input-form");
    this.note = element("input-note");
    this.keys = new HeldKeys();
    this.form.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      if (this.session && !this.session.tickRate) this.send(this.read());
    });
    element("input-reset").addEventListener("click", () => this.reset());
  }

  /** @param {Session} session */
  watch(session) {
    const input = session.schema?.input ?? null;
    const isPlayed = input !== null && !session.spectator;
    this.session = isPlayed ? session : null;
    element("input-part").hidden = input === null;
    element("input-reset").hidden = !isPlayed;
    element("input-send").hidden = !isPlayed || session.tickRate > 0;
    write(element("input-name"), input?.name ?? "");
    write(this.note, session.spectator ? "Spectators only watch." : "");
    const bound = bindings(input?.fields ?? []);
    this.controls = isPlayed ? input.fields.map((field) => this.makeControl(field, bound.get(field.name) ?? [])) : [];
    this.keys.used = new Set(this.controls.flatMap(({ keys }) => keys.map(({ code }) => code)));
    this.said = Object.fromEntries(this.controls.map(({ field }) => [field.name, field.default]));
    this.restAt = 0;
    this.keys.release();
    this.form.replaceChildren(...this.controls.flatMap((control, i) => this.line(control, i)));
  }

  /** Say what is wanted now; once per picture. */
  say() {
    const { session } = this;
    if (!session?.joined) return;
    if (!session.tickRate) {
      this.sayWhenPressed();
      return;
    }
    const values = this.read();
    const isSet = this.controls.some(({ field }) => !same(values[field.name], field.default));
    const hasChanged = this.controls.some(({ field }) => !same(values[field.name], this.said[field.name]));
    if (hasChanged) this.restAt = isSet ? 0 : session.stats.inputsSent + LAST_INPUTS;
    if (isSet || hasChanged || session.stats.inputsSent < this.restAt) this.send(values);
  }

  /** A room without a tick rate ticks for each input, so each is one move: it goes when a key or button says so. */
  sayWhenPressed() {
    const isPressed = this.keys.fresh.size > 0;
    const values = this.read();
    if (isPressed) this.send(values);
  }

  /** What keys and controls say now. */
  read() {
    /** @type {Record<string, unknown>} */
    const values = {};
    const { down } = this.keys;
    for (const control of this.controls) {
      const { field } = control;
      const value = valueOfKeys(field, control.keys, down) ?? control.chosen ?? field.default;
      this.show(control, value);
      values[field.name] = value;
    }
    this.keys.forget();
    return values;
  }

  /** @param {Record<string, unknown>} values */
  send(values) {
    const { session } = this;
    if (!session?.joined) return;
    this.said = values;
    try {
      session.sendInput(values);
      if (!session.tickRate) session.flushInput(); // moves are not to be merged
      write(this.note, "");
    } catch (error) {
      write(this.note, error instanceof Error ? error.message : String(error));
    }
  }

  reset() {
    for (const control of this.controls) {
      control.chosen = control.field.default;
      put(control, control.field.default);
    }
    write(this.note, "");
  }

  /** Show what keys do. @param {Control} control @param {unknown} value */
  show(control, value) {
    const { input, output, field } = control;
    if (field.type === "bool") {
      if (input.checked !== value) input.checked = value;
    } else if (output) {
      if (input.valueAsNumber !== value && control.keys.length) input.value = String(value);
      write(output, rounded(Number(value), 3));
    }
  }

  /** @param {InputField} field @param {import("./keys.js").Binding[]} keys @returns {Control} */
  makeControl(field, keys) {
    const { type, low, high, maxLength } = field;
    const isNumber = type === "int" || type === "float";
    const isSlider = isNumber && low !== null && high !== null && high > low && high - low <= 1e6;
    const kind = type === "bool" ? "checkbox" : isSlider ? "range" : isNumber ? "number" : "text";
    const input = make("input", "", { type: kind });
    if (isNumber) {
      if (low !== null) input.min = String(low);
      if (high !== null) input.max = String(high);
      input.step = type === "int" ? "1" : isSlider ? String((Number(high) - Number(low)) / SLIDER_PARTS) : "any";
    }
    if (type === "str") input.placeholder = maxLength === null ? "text" : `text, up to ${maxLength}`;
    if (type === "bytes") input.placeholder = "bytes, as hex";
    /** @type {Control} */
    const control = { field, keys, input, output: isSlider ? make("output") : null, chosen: field.default };
    put(control, field.default);
    input.addEventListener(type === "bool" ? "change" : "input", () => {
      control.chosen = read(control);
      input.setAttribute("aria-invalid", String(control.chosen === undefined));
      if (control.chosen === undefined) write(this.note, `${field.name}: this is no ${type}.`);
    });
    return control;
  }

  /** @param {Control} control @param {number} i */
  line({ field, keys, input, output }, i) {
    input.id = `input-${i}`;
    const label = make("label", `${field.name} `, { for: input.id });
    for (const { code } of keys) label.append(make("kbd", KEY_NAMES[code]));
    const place = make("div", "", { class: "control" });
    place.append(input, ...(output ? [output] : []));
    return [label, place];
  }
}

/** What the control says; undefined when that is no value of the field. @param {Control} control */
function read({ field, input }) {
  if (field.type === "bool") return input.checked;
  if (field.type === "str") return input.value;
  if (field.type === "bytes") return bytesOf(input.value);
  const number = input.valueAsNumber;
  if (Number.isNaN(number) || (field.type === "int" && !Number.isInteger(number))) return undefined;
  return number;
}

/** @param {Control} control @param {unknown} value */
function put({ field, input }, value) {
  if (field.type === "bool") input.checked = value;
  else if (value instanceof Uint8Array) {
    input.value = Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("");
  } else input.value = String(value ?? "");
}

/** @param {string} hex */
function bytesOf(hex) {
  const digits = hex.replaceAll(/\s/g, "");
  if (digits.length % 2 || /[^0-9a-f]/i.test(digits)) return undefined;
  return Uint8Array.from(digits.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

/** @param {unknown} one @param {unknown} other */
function same(one, other) {
  if (one instanceof Uint8Array && other instanceof Uint8Array) return String(one) === String(other);
  return one === other;
}
