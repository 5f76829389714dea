// One table of a replica, and its rows as a front end sees them.
//
// Storage is by entity id, so an id is an index: a typed array for each field, and arrays for text, bytes and packed
// values. A companion holds further, private fields of another table's rows; front ends do not meet it: its main table
// answers for its fields.

import { type Integers, readIntegers, readObjects } from "./columns.js";
import { type Cursor, readValue } from "./cursor.js";
import { refuse } from "./errors.js";
import { type Field, toNumber, toNumbers } from "./fields.js";
import { bucketSums, rowHashes, sumOf } from "./hash.js";
import type { TableSchema } from "./schema.js";

// biome-ignore lint/suspicious/noExplicitAny: what fields hold is known to who declared them in the room
export type Fields = Record<string, any>;

/** What every row has besides its fields. */
export interface RowBase {
  /** Unique in its table while the entity lives. */
  readonly id: number;
  /** Whether the replica still holds it; its fields keep their last values until its id is another entity's. */
  readonly alive: boolean;
  /** Whether this client's player owns it. */
  readonly mine: boolean;
}

/** One entity: each field is a property; null of a private field that this player does not know. */
export type Row<F = Fields> = RowBase & Readonly<F>;

const NO_IDS = new Uint32Array();
const FIRST_ROWS = 32;

/** The entities of one type that the client may see. Iterating gives rows in the order of their ids. */
export class Table<F = Fields> implements Iterable<Row<F>> {
  readonly name: string;
  /** Names of all fields, private ones too. */
  readonly fieldNames: string[];
  /** By the schema's order of fields; the index into each is the id. Do not write to them. */
  readonly columns: Integers[];
  readonly #objects: (unknown[] | null)[];
  readonly #byName = new Map<string, number>();
  readonly #private = new Map<string, Table>();
  readonly #owner: number;
  #alive = new Uint8Array(FIRST_ROWS);
  #ids: Uint32Array | null = NO_IDS;
  #known = new Uint8Array(FIRST_ROWS); // of a companion, by id; what is gone keeps what it was
  #values = new Map<string, Float64Array | unknown[]>();
  #rows: Row<F>[] = [];
  readonly #rowPrototype: object;

  /**
   * @param index of the table in the schema
   * @param tables all tables of the replica; those behind this one may come later
   * @param player the number of the client's own player
   */
  constructor(
    readonly index: number,
    readonly schema: TableSchema,
    private readonly tables: readonly Table[],
    readonly player: number,
  ) {
    const { fields } = schema;
    this.name = schema.name;
    this.fieldNames = fields.map((field) => field.name);
    this.columns = fields.map(({ kind }) => new (kind === "int" ? Int32Array : Uint32Array)(FIRST_ROWS));
    this.#objects = fields.map((field) => (field.isObject ? [] : null));
    this.#owner = fields.findIndex((field) => field.kind === "owner");
    this.#rowPrototype = this.#makeRowPrototype();
    fields.forEach((field, i) => {
      this.#byName.set(field.name, i);
      this.#addGetter(field.name, (id) => this.#at(i, id));
    });
  }

  // -- for front ends

  /** How many rows are held. */
  get size(): number {
    return this.ids.length;
  }

  /** Ids of all rows held, ascending; the same array until rows come or go. Do not write to it. */
  get ids(): Uint32Array {
    if (this.#ids) return this.#ids;
    const ids = new Uint32Array(this.#alive.length);
    let count = 0;
    for (let id = 0; id < this.#alive.length; id++) if (this.#alive[id]) ids[count++] = id;
    this.#ids = ids.slice(0, count);
    return this.#ids;
  }

  /** Whether an entity of this id is held now. */
  holds(id: number): boolean {
    return this.#alive[id] === 1;
  }

  /** The entity of this id, null when it is not held. The same object as long as there is an entity of this id. */
  get(id: number): Row<F> | null {
    return this.holds(id) ? this.row(id) : null;
  }

  /** The row of an id, held or not: one that is gone keeps its last values. */
  row(id: number): Row<F> {
    const row = this.#rows[id];
    if (row) return row;
    const made = Object.create(this.#rowPrototype, { id: { value: id, enumerable: true } });
    this.#rows[id] = made;
    return made;
  }

  *[Symbol.iterator](): Iterator<Row<F>> {
    for (const id of this.ids) yield this.row(id);
  }

  /**
   * One field of all rows, in the order of `ids`: numbers, or an array for text, bytes, values. Made when it is asked for
   * and kept until the next frame. Where a private field is not known a number is what the integer 0 stands for, an
   * object null. Of references it has the ids.
   */
  column(name: string): Float64Array | unknown[] {
    let values = this.#values.get(name);
    if (!values) {
      values = this.#private.get(name)?.columnOf(name, this.ids) ?? this.columnOf(name, this.ids);
      this.#values.set(name, values);
    }
    return values;
  }

  /** For each row, in the order of `ids`, 1 where this player knows the field: everywhere, unless it is private. */
  known(name: string): Uint8Array {
    const companion = this.#private.get(name);
    if (!companion) this.#field(name);
    return Uint8Array.from(this.ids, (id) => (!companion || companion.knows(id) ? 1 : 0));
  }

  /** One field of one row: a reference gives a row, or null for nobody and for who is out of view. */
  value(name: string, id: number): unknown {
    const companion = this.#private.get(name);
    if (companion) return companion.knows(id) ? companion.value(name, id) : null;
    return this.#at(this.#field(name), id);
  }

  /** The value of the field of this index of one row. */
  #at(i: number, id: number): unknown {
    const field = this.schema.fields[i];
    const objects = this.#objects[i];
    if (objects) {
      const held = objects[id] ?? null;
      return field.kind === "value" && held ? readValue(held as Uint8Array) : held;
    }
    const integer = this.columns[i][id] ?? 0;
    if (field.kind === "reference") return this.tables[field.table].get(integer);
    return field.kind === "bool" ? integer === 1 : toNumber(field, integer);
  }

  /** The integer that travels for one field of one row; 0 of a private field that is not known. */
  integer(name: string, id: number): number {
    const companion = this.#private.get(name);
    if (companion) return companion.knows(id) ? companion.integer(name, id) : 0;
    return this.columns[this.#field(name)][id] ?? 0;
  }

  /** The packed bytes of a `value` field, or the bytes or text of another object; null when there are none. */
  packed(name: string, id: number): unknown {
    return this.#objects[this.#field(name)]?.[id] ?? null;
  }

  /** Whether this player knows a private field of one row. */
  knowsOf(name: string, id: number): boolean {
    const companion = this.#private.get(name);
    return companion ? companion.knows(id) : this.holds(id);
  }

  /** Desync hash of all rows held. */
  hash(): number {
    return sumOf(rowHashes(this.index, this.ids, this.columns));
  }

  /** Sums of the row hashes, as a resync carries them. */
  digest(buckets: number): Uint8Array {
    return bucketSums(this.ids, rowHashes(this.index, this.ids, this.columns), buckets);
  }

  // -- for the replica

  /** Answer for the fields of `companion` from now on. */
  addCompanion(companion: Table): void {
    for (const { name } of companion.schema.fields) {
      this.#private.set(name, companion);
      this.fieldNames.push(name);
      this.#addGetter(name, (id) => this.value(name, id));
    }
  }

  /** Of a companion: whether the fields of one row are known; of one that is gone, whether they were. */
  knows(id: number): boolean {
    return this.#known[id] === 1;
  }

  /** Of a companion, after a frame: note which rows of its main table it knows. */
  settle(main: Table): void {
    const { ids } = main;
    const last = ids.length ? ids[ids.length - 1] : 0;
    if (last >= this.#known.length) this.#known = grown(this.#known, last);
    for (let i = 0; i < ids.length; i++) this.#known[ids[i]] = this.#alive[ids[i]] ?? 0;
  }

  /** A frame has spoken of this table or its companions: columns are to be made anew. */
  forgetValues(): void {
    this.#values.clear();
  }

  /** Those of `ids` that are held. */
  heldAmong(ids: Uint32Array): Uint32Array {
    return ids.filter((id) => this.#alive[id] === 1);
  }

  remove(ids: Uint32Array): void {
    this.checkHeld(ids);
    for (let i = 0; i < ids.length; i++) this.#alive[ids[i]] = 0;
    if (ids.length) this.#ids = null;
  }

  removeAll(): void {
    this.#alive.fill(0);
    this.#ids = NO_IDS;
  }

  /** Reads whole rows: their columns come next. */
  putWhole(cursor: Cursor, ids: Uint32Array, columns: number): void {
    const { fields } = this.schema;
    if (columns !== fields.length) refuse(`columns of ${this.name}`);
    const last = ids.length ? ids[ids.length - 1] : 0;
    if (last >= this.#alive.length) this.#grow(last);
    for (let i = 0; i < fields.length; i++) {
      const column = this.columns[i];
      for (let k = 0; k < ids.length; k++) column[ids[k]] = 0; // what differences in whole rows refer to
      this.#read(cursor, i, ids);
    }
    for (let i = 0; i < ids.length; i++) {
      if (this.#alive[ids[i]] === 0) this.#ids = null;
      this.#alive[ids[i]] = 1;
    }
  }

  /** Reads so many pairs of field and column, of rows that are held. */
  putChanges(cursor: Cursor, ids: Uint32Array, pairs: number): void {
    for (; pairs > 0; pairs--) this.#read(cursor, cursor.integer(0, this.schema.fields.length - 1), ids);
  }

  /** ProtocolError when one of these rows is not held. */
  checkHeld(ids: Uint32Array): void {
    for (let i = 0; i < ids.length; i++) if (this.#alive[ids[i]] !== 1) refuse(`${this.name} ${ids[i]}`);
  }

  // -- for the main table of a companion

  columnOf(name: string, ids: Uint32Array): Float64Array | unknown[] {
    const i = this.#field(name);
    const isPrivate = this.schema.of !== null;
    if (this.#objects[i]) return Array.from(ids, (id) => (!isPrivate || this.knows(id) ? this.value(name, id) : null));
    const field = this.schema.fields[i];
    const numbers = toNumbers(field, this.columns[i], ids);
    if (isPrivate) for (let k = 0; k < ids.length; k++) if (!this.knows(ids[k])) numbers[k] = toNumber(field, 0);
    return numbers;
  }

  #read(cursor: Cursor, i: number, ids: Uint32Array): void {
    const field: Field = this.schema.fields[i];
    const objects = this.#objects[i];
    if (objects) readObjects(cursor, field, ids, objects, this.columns[i]);
    else readIntegers(cursor, field, ids, this.columns[i]);
  }

  #grow(highest: number): void {
    this.#alive = grown(this.#alive, highest);
    this.columns.forEach((column, i) => {
      this.columns[i] = grown(column, highest);
    });
  }

  #field(name: string): number {
    const field = this.#byName.get(name);
    if (field === undefined) throw new Error(`${this.name} has no field ${name}; it has ${this.fieldNames.join(", ")}`);
    return field;
  }

  #makeRowPrototype(): object {
    const table = this;
    return {
      get alive(): boolean {
        return table.holds((this as unknown as RowBase).id);
      },
      get mine(): boolean {
        const { id } = this as unknown as RowBase;
        return table.#owner >= 0 && table.columns[table.#owner][id] === table.player;
      },
      /** For JSON and consoles: all fields by name. */
      toJSON(): Fields {
        const row = this as unknown as Row;
        return Object.fromEntries(["id", ...table.fieldNames].map((name) => [name, shown(row[name])]));
      },
    };
  }

  #addGetter(name: string, read: (id: number) => unknown): void {
    if (name === "id" || name === "alive" || name === "mine") return;
    const get = function (this: RowBase) {
      return read(this.id);
    };
    Object.defineProperty(this.#rowPrototype, name, { get, enumerable: true, configurable: true });
  }
}

/** Of another row only its id, for rows may refer to each other in a circle. */
function shown(value: unknown): unknown {
  const isRow = typeof value === "object" && value !== null && "alive" in value && "toJSON" in value;
  return isRow ? (value as unknown as RowBase).id : value;
}

function grown<A extends Uint8Array | Int32Array | Uint32Array>(array: A, highest: number): A {
  let length = array.length;
  while (length <= highest) length *= 2;
  const longer = new (array.constructor as new (length: number) => A)(length);
  longer.set(array);
  return longer;
}
