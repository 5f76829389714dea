// The part that shows every entity table, live.

import type { Field } from "../wire/fields.js";
import type { Schema } from "../wire/schema.js";
import type { Table } from "../wire/table.js";
import { make, resize, searchField, write } from "./dom.js";
import { count, formatInteger, formatValue, shorten } from "./format.js";
import type { WatchedSession } from "./recorder.js";

const MOST_ROWS = 50;
/** So many rows are searched for a text in one drawing. */
const MOST_SEARCHED = 2000;
const MOST_CHARACTERS = 40;

export class TablesPart {
  readonly element = make("section", "tables");
  readonly #filter = searchField("Filter rows by text", () => this.draw(this.#session));
  readonly #list = make("div");
  readonly #empty = make("p", "dim", "No tables before the player is in the room.");
  #views: TableView[] = [];
  #schema: Schema | null = null;
  #session: WatchedSession | null = null;

  constructor() {
    this.element.append(make("div", "bar", this.#filter), this.#empty, this.#list);
  }

  draw(session: WatchedSession | null): void {
    this.#session = session;
    const tables = session?.world.tables ?? [];
    const schema = tables.length ? (session?.schema ?? null) : null;
    if (schema !== this.#schema) this.#build(schema, session);
    for (const view of this.#views) {
      view.table = tables[view.place] ?? view.table;
      view.draw(this.#filter.value.trim().toLowerCase());
    }
  }

  #build(schema: Schema | null, session: WatchedSession | null): void {
    this.#schema = schema;
    const { tables = [], allTables = [] } = schema && session ? session.world : {};
    this.#views = schema ? tables.map((table, place) => new TableView(table, place, allTables, schema)) : [];
    this.#list.replaceChildren(...this.#views.map((view) => view.element));
    this.#empty.hidden = this.#views.length > 0;
  }
}

interface ColumnHead {
  readonly field: Field;
  /** Name of the companion for whose audience it is, null when it is for all. */
  readonly companion: string | null;
}

class TableView {
  readonly element = make("details");
  readonly #size = make("span", "dim");
  readonly #body = make("tbody");
  readonly #more = make("p", "dim");
  readonly #columns: ColumnHead[];
  /** What each cell showed last, by id of the row. */
  #shown = new Map<number, string[]>();

  /** @param place index among the main tables of the world */
  constructor(
    public table: Table,
    readonly place: number,
    allTables: readonly Table[],
    private readonly schema: Schema,
  ) {
    const own = table.schema.fields.map((field) => ({ field, companion: null }));
    const companions = allTables.filter((other) => other.schema.of === table.index);
    const priv = companions.flatMap(({ name, schema }) => schema.fields.map((field) => ({ field, companion: name })));
    this.#columns = [...own, ...priv];
    this.element.open = true;
    const grid = make("table", "", make("thead", "", this.#head()), this.#body);
    this.element.append(make("summary", "", table.name, " ", this.#size), make("div", "scroll", grid), this.#more);
  }

  draw(filter: string): void {
    const { ids } = this.table;
    const size = this.table.schema.single ? "room-wide" : count(ids.length, "row");
    write(this.#size, this.#columns.some((column) => column.companion) ? `${size}, * private` : size);
    if (!this.element.open) return;
    const found = this.#find(ids, filter);
    const rows = resize(this.#body, found.length, () => make("tr"));
    const shown = new Map<number, string[]>();
    found.forEach(([id, cells], i) => {
      this.#drawRow(rows[i], id, cells, this.#shown.get(id));
      shown.set(id, cells);
    });
    this.#shown = shown;
    const rest = filter ? "" : ids.length > found.length ? `and ${ids.length - found.length} more` : "";
    write(this.#more, filter && !found.length ? "no row has this text" : rest);
  }

  #head(): HTMLElement {
    const heads = this.#columns.map(({ field, companion }) => {
      const head = make("th", companion ? "private" : "", field.name);
      head.title = companion ? `${field.kind}, private: ${companion}` : field.kind;
      return head;
    });
    return make("tr", "", make("th", "", "id"), ...heads);
  }

  /** The first rows that have the text, with what their cells say. */
  #find(ids: Uint32Array, filter: string): [number, string[]][] {
    const found: [number, string[]][] = [];
    for (let i = 0; i < Math.min(ids.length, MOST_SEARCHED) && found.length < MOST_ROWS; i++) {
      const cells = this.#columns.map((column) => this.#cell(column, ids[i]));
      const matches = !filter || `${ids[i]} ${cells.join(" ")}`.toLowerCase().includes(filter);
      if (matches) found.push([ids[i], cells]);
    }
    return found;
  }

  /** Whether it is a private field that this player is not told. */
  #isUnknown({ field, companion }: ColumnHead, id: number): boolean {
    return companion !== null && !this.table.knowsOf(field.name, id);
  }

  #cell(column: ColumnHead, id: number): string {
    const { table } = this;
    const { field } = column;
    if (this.#isUnknown(column, id)) return "unknown";
    if (field.isObject) return shorten(told(table.value(field.name, id)), MOST_CHARACTERS);
    return formatInteger(field, table.integer(field.name, id), this.schema);
  }

  #drawRow(
    row: HTMLTableRowElement,
    id: number,
    cells: readonly string[],
    before: readonly string[] | undefined,
  ): void {
    const elements = resize(row, cells.length + 1, () => make("td"));
    write(elements[0], String(id));
    row.className = this.table.get(id)?.mine ? "mine" : "";
    cells.forEach((text, i) => {
      const cell = elements[i + 1];
      write(cell, text);
      cell.className = this.#isUnknown(this.#columns[i], id)
        ? "unknown"
        : before && before[i] !== text
          ? "changed"
          : "";
    });
  }
}

function told(value: unknown): string {
  return typeof value === "string" ? value : formatValue(value);
}
