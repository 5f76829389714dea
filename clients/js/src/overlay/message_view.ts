// One message in full: as a tree of its fields, as bytes, and as JSON to be pasted elsewhere.

import { type Described, describeMessage } from "./describe.js";
import { button, copyText, make, write } from "./dom.js";
import { formatBytes, formatTime, hexDump } from "./format.js";
import type { Entry } from "./ring.js";

/** Of more parts only the first ones are shown. */
const MOST_PARTS = 200;
/** Parts of so few parts are open at once. */
const FEW_PARTS = 12;
const NO_IDS = new Uint32Array();

export class MessageView {
  readonly element = make("div", "message");
  /** What is shown, null while nothing is. */
  entry: Entry | null = null;
  readonly #title = make("b");
  readonly #body = make("div", "body");
  readonly #hex = button("Hex", "The bytes of the message", () => this.#toggleHex());
  readonly #copy = button("Copy as JSON", "The message as it is told here, without secrets", () => void this.#copyIt());
  #told: Described | null = null;
  #showsHex = false;

  constructor() {
    const close = button("\u00d7", "Close the message", () => this.close());
    this.element.append(make("div", "bar", this.#title, this.#hex, this.#copy, close), this.#body);
    this.element.hidden = true;
  }

  show(entry: Entry): void {
    this.entry = entry;
    const { bytes, schema, direction, held, at, told } = entry;
    this.#told =
      direction === "note"
        ? { title: "session", detail: told?.text ?? "", children: [] }
        : describeMessage(bytes, schema, direction, (table) => held[table] ?? NO_IDS);
    write(this.#title, `${this.#told.title} ${formatTime(at)}, ${formatBytes(bytes.length)}`);
    this.element.hidden = false;
    this.#draw();
  }

  close(): void {
    this.entry = this.#told = null;
    this.element.hidden = true;
  }

  #toggleHex(): void {
    this.#showsHex = !this.#showsHex;
    this.#draw();
  }

  #draw(): void {
    if (!this.entry || !this.#told) return;
    write(this.#hex, this.#showsHex ? "Fields" : "Hex");
    write(this.#copy, "Copy as JSON");
    const content = this.#showsHex ? make("pre", "", hexDump(this.entry.bytes)) : tree(this.#told, true);
    this.#body.replaceChildren(content);
  }

  async #copyIt(): Promise<void> {
    if (!this.entry || !this.#told) return;
    const { direction, at, bytes } = this.entry;
    const told = { direction, at: new Date(at).toISOString(), bytes: bytes.length, ...plain(this.#told) };
    write(this.#copy, (await copyText(JSON.stringify(told, null, 1))) ? "Copied" : "Not copied");
  }
}

/** A description without the lists that are empty. */
function plain({ title, detail, children }: Described): object {
  return { title, ...(detail && { detail }), ...(children.length && { children: children.map(plain) }) };
}

/** Parts with parts of their own can be opened; those are made then. */
function tree({ title, detail, children }: Described, open = false): HTMLElement {
  const words = [make("span", "name", title), " ", make("span", "value", detail)];
  if (!children.length) return make("div", "leaf", ...words);
  const part = make("details", "", make("summary", "", ...words));
  const fill = () => {
    if (part.childElementCount > 1) return;
    const few = open && children.length <= FEW_PARTS;
    part.append(
      ...children.slice(0, MOST_PARTS).map((child) => tree(child, few && child.children.length <= FEW_PARTS)),
    );
    if (children.length > MOST_PARTS) part.append(make("p", "dim", `and ${children.length - MOST_PARTS} more`));
  };
  part.addEventListener("toggle", fill);
  if (open) {
    part.open = true;
    fill();
  }
  return part;
}
