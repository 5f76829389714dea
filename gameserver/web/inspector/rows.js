// Values of rows on the page: the room's state, the selected entity, and tables of all entities.

import { element, make, write } from "./page.js";
import { fieldsOf } from "./shapes.js";
import { fieldText } from "./words.js";

/** @typedef {import("/client.js").Session} Session */
/** @typedef {import("/client.js").Table} Table */
/** @typedef {import("/client.js").Field} Field */
/** @typedef {import("./paint.js").Selected} Selected */

/** Rows of a table that are shown at first, and how many more each time. */
const ROWS = 30;
/** How long a value that has changed is marked, in milliseconds. */
const MARK_MS = 400;

/** Fields of one row as a list. */
export class Values {
  /** @param {string} id of the list */
  constructor(id) {
    this.list = element(id);
    /** @type {{field: Field, cell: HTMLElement}[]} */
    this.lines = [];
    this.key = "";
  }

  /**
   * Show a row.
   * @param {Session} session
   * @param {Table} table
   * @param {any} row
   */
  show(session, table, row) {
    const key = `${table.name} ${row.id}`;
    if (key !== this.key || this.session !== session) this.make(session, table, key);
    for (const { field, cell } of this.lines) {
      const text = textOf(session, table, row, field);
      if (cell.textContent === text) continue;
      if (cell.textContent) mark(cell);
      cell.textContent = text;
    }
  }

  clear() {
    if (!this.key) return;
    this.key = "";
    this.lines = [];
    this.list.replaceChildren();
  }

  /** @param {Session} session @param {Table} table @param {string} key */
  make(session, table, key) {
    this.key = key;
    this.session = session;
    this.lines = fieldsOf(session.world, table).map((field) => ({ field, cell: make("dd") }));
    this.list.replaceChildren(
      ...this.lines.flatMap(({ field, cell }) => [make("dt", field.name, { title: kindText(field) }), cell]),
    );
  }
}

/** @param {HTMLElement} cell */
function mark(cell) {
  cell.animate?.([{ backgroundColor: "rgb(112 226 255 / 35%)" }, {}], MARK_MS);
}

/** @param {Session} session @param {Table} table @param {any} row @param {Field} field */
function textOf(session, table, row, field) {
  if (!table.knowsOf(field.name, row.id)) return row.alive ? "hidden" : "";
  return fieldText(field, table.value(field.name, row.id), session.player);
}

/** @param {Field} field */
function kindText({ kind, bits, low, step, highest, maxBytes }) {
  if (kind === "fixed") return `fixed, ${low} to ${low + step * highest} by ${step}`;
  if (maxBytes) return `${kind}, up to ${maxBytes} bytes`;
  return bits ? `${kind}, ${bits} bits` : kind;
}

/** All tables of a room, each as a part that opens. */
export class Tables {
  /** @param {(selected: Selected) => void} select */
  constructor(select) {
    this.select = select;
    this.place = element("tables");
    /** @type {TablePart[]} */
    this.parts = [];
  }

  /** @param {Session} session @param {ReadonlySet<string>} mapped tables that the map shows */
  watch(session, mapped) {
    const tables = session.world.tables.filter((table) => !table.schema.single);
    this.parts = tables.map((table) => new TablePart(session, table, !mapped.has(table.name), this.select));
    this.place.replaceChildren(...this.parts.map((part) => part.details));
  }

  /** @param {Selected | null} selected */
  refresh(selected) {
    for (const part of this.parts) part.refresh(selected);
  }
}

class TablePart {
  /**
   * @param {Session} session
   * @param {Table} table
   * @param {boolean} isOpen
   * @param {(selected: Selected) => void} select
   */
  constructor(session, table, isOpen, select) {
    this.session = session;
    this.table = table;
    this.select = select;
    this.most = ROWS;
    this.fields = fieldsOf(session.world, table);
    /** @type {Map<number, {line: HTMLElement, cells: HTMLElement[]}>} */
    this.lines = new Map();
    this.order = "";
    this.details = make("details", "", { class: "table" });
    this.details.open = isOpen;
    this.count = make("span", "", { class: "dim" });
    const summary = make("summary");
    summary.append(make("h2", table.name), this.count);
    this.body = make("tbody");
    const head = make("tr");
    for (const field of this.fields) head.append(make("th", field.name, { scope: "col", title: kindText(field) }));
    head.prepend(make("th", "id", { scope: "col" }));
    const heads = make("thead");
    heads.append(head);
    const whole = make("table", "", { "aria-label": table.name });
    whole.append(heads, this.body);
    const scroll = make("div", "", {
      class: "scroll",
      tabindex: "0",
      role: "region",
      "aria-label": `Rows of ${table.name}`,
    });
    scroll.append(whole);
    this.more = make("button", "", { type: "button", class: "small" });
    this.more.addEventListener("click", () => {
      this.most += ROWS;
    });
    this.details.append(summary, scroll, this.more);
  }

  /** @param {Selected | null} selected */
  refresh(selected) {
    const { table, session } = this;
    write(this.count, String(table.size));
    if (!this.details.open) return;
    const shown = table.ids.length > this.most ? table.ids.subarray(0, this.most) : table.ids;
    this.arrange(shown);
    for (const id of shown) {
      const { line, cells } = /** @type {any} */ (this.lines.get(id));
      const row = table.row(id);
      this.fields.forEach((field, i) => {
        write(cells[i], textOf(session, table, row, field));
      });
      line.classList.toggle("mine", row.mine);
      line.classList.toggle("chosen", selected?.table === table.name && selected.id === id);
    }
    const left = table.size - shown.length;
    this.more.hidden = left <= 0;
    write(this.more, `Show more (${left} left)`);
  }

  /** Have a line for each of these rows, in their order. @param {Uint32Array} ids */
  arrange(ids) {
    const order = ids.join();
    if (order === this.order) return;
    this.order = order;
    const wanted = new Set(ids);
    for (const [id, { line }] of this.lines) {
      if (wanted.has(id)) continue;
      line.remove();
      this.lines.delete(id);
    }
    ids.forEach((id, i) => {
      const { line } = this.lines.get(id) ?? this.makeLine(id);
      if (this.body.children[i] !== line) this.body.insertBefore(line, this.body.children[i] ?? null);
    });
  }

  /** @param {number} id */
  makeLine(id) {
    const line = make("tr");
    const cells = this.fields.map(() => make("td"));
    const first = make("td");
    const button = make("button", String(id), { type: "button", "aria-label": `Select ${this.table.name} ${id}` });
    button.addEventListener("click", () => this.select({ table: this.table.name, id }));
    first.append(button);
    line.append(first, ...cells);
    const made = { line, cells };
    this.lines.set(id, made);
    return made;
  }
}
