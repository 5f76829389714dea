// The replica: a client's mirror of the world, kept equal to the server's integers frame by frame.
//
// apply() takes one frame and answers what it changed. Front ends meet main tables alone: what happens to a row of a
// companion is a change of its main table's row (SPEC.md, section "Schema").

import { ARRAY, Cursor } from "./cursor.js";
import { BaselineError, refuse } from "./errors.js";
import { type Chunk, enterKnown, type Frame, findChunks } from "./frame.js";
import { digestBuckets } from "./hash.js";
import { readGaps, readIds, union, without } from "./ids.js";
import type { Schema } from "./schema.js";
import { type Fields, type Row, Table } from "./table.js";

/** What one frame did to one table. Worked out when it is asked for, so that who does not ask does not pay. */
export class TableChanges<F = Fields> {
  readonly #before: Uint32Array;
  readonly #after: Uint32Array;
  readonly #written: readonly Uint32Array[];
  #changed: Uint32Array | null = null;

  constructor(
    readonly table: Table<F>,
    before: Uint32Array,
    written: readonly Uint32Array[],
  ) {
    this.#before = before;
    this.#after = table.ids;
    this.#written = written;
  }

  /** Ids of entities that came into view, ascending. */
  get spawnedIds(): Uint32Array {
    return without(this.#after, this.#before);
  }

  /** Ids of entities that are gone or out of view, ascending. */
  get despawnedIds(): Uint32Array {
    return without(this.#before, this.#after);
  }

  /** Ids of entities that were held before and of which at least one field was sent, ascending. */
  get changedIds(): Uint32Array {
    if (!this.#written.length) return new Uint32Array();
    this.#changed ??= without(union(this.#written), this.spawnedIds);
    return this.#changed;
  }

  get spawned(): Row<F>[] {
    return this.#rows(this.spawnedIds);
  }

  get changed(): Row<F>[] {
    return this.#rows(this.changedIds);
  }

  /** With the values that they had last. */
  get despawned(): Row<F>[] {
    return this.#rows(this.despawnedIds);
  }

  #rows(ids: Uint32Array): Row<F>[] {
    return Array.from(ids, (id) => this.table.row(id));
  }
}

/** The entity types of a room by name, with their fields: what `world.Ship` and its rows are. */
export type Entities = Record<string, Fields>;

/** A replica with its tables as properties, where their names are free. */
export type World<W = Entities> = Replica<W> & { readonly [Name in keyof W]: Table<W[Name]> };

/** A client's mirror of the world. */
export class Replica<W = Entities> {
  /** All that front ends meet: every table but companions. */
  readonly tables: readonly Table[];
  readonly #all: Table[] = [];
  readonly #companions: { companion: Table; main: Table }[] = [];
  /** The tick it is at, 0 before the first frame. This and the following are for reading only. */
  tick = 0;
  /** Whether deltas may be applied: not before a full frame, nor after a frame that was malformed. */
  usable = false;
  /** How many frames brought a hash that differed from what the replica then held. */
  desyncs = 0;
  /** How many frames brought a hash. */
  hashesChecked = 0;

  /** @param player the client's own player number, from the welcome */
  constructor(
    readonly schema: Schema,
    readonly player = 0,
  ) {
    schema.tables.forEach((table, index) => {
      this.#all.push(new Table(index, table, this.#all, player));
    });
    this.tables = this.#all.filter((table) => table.schema.of === null);
    for (const companion of this.#all) {
      if (companion.schema.of === null) continue;
      const main = this.#all[companion.schema.of];
      main.addCompanion(companion);
      this.#companions.push({ companion, main });
    }
    for (const table of this.tables) {
      if (!(table.name in this)) Object.defineProperty(this, table.name, { value: table, enumerable: true });
    }
  }

  /** The table of an entity type; throws an Error that names those that there are. */
  table<Name extends keyof W & string>(name: Name): Table<W[Name]>;
  table(name: string): Table;
  table(name: string): Table {
    const table = this.tables.find((each) => each.name === name);
    if (!table)
      throw new Error(`no entity type ${name} in this room; it has ${this.tables.map((t) => t.name).join(", ")}`);
    return table;
  }

  /** Every table of the schema, companions too, in its order: for tools and tests. */
  get allTables(): readonly Table[] {
    return this.#all;
  }

  /** The room-wide state as a row, null when the room has none or no frame has come. */
  get state(): Row | null {
    return this.tables.find((table) => table.schema.single)?.get(1) ?? null;
  }

  /** Desync hash of everything held. */
  hash(): number {
    return this.#all.reduce((sum, table) => (sum + table.hash()) >>> 0, 0);
  }

  /** For each table sums of its row hashes, for a resync; none when there are too many tables, or no table. */
  digests(): Uint8Array[] {
    const buckets = digestBuckets(this.#all.length);
    return buckets ? this.#all.map((table) => table.digest(buckets)) : [];
  }

  /**
   * Brings the replica to the frame's tick.
   *
   * @returns what changed, for the main tables that the frame spoke of
   * @throws BaselineError it is a delta from another tick than the replica's; nothing was changed
   * @throws ProtocolError it is malformed; the replica takes nothing but a full frame from now on
   */
  apply(frame: Frame): TableChanges[] {
    const { tick, back } = frame.header;
    if (back > 0 && (!this.usable || tick - back !== this.tick)) {
      throw new BaselineError(`a delta from ${tick - back} at ${this.tick}`);
    }
    this.usable = false;
    const before = this.#all.map((table) => table.ids);
    const written = this.#all.map((): Uint32Array[] => []);
    try {
      const cursor = new Cursor(frame.bytes);
      const chunks = findChunks(frame, cursor, this.#all.length);
      if (back === 0) for (const table of this.#all) table.removeAll();
      this.#applyChunks(chunks, cursor, written);
    } finally {
      for (const { companion, main } of this.#companions) companion.settle(main);
      for (const table of this.#all) table.forgetValues();
    }
    for (const { companion, main } of this.#companions) fold(companion, main, before[companion.index], written);
    this.usable = true;
    this.tick = tick;
    const speaksOf = ({ index, ids, size }: Table) =>
      before[index] !== ids || (back === 0 && size > 0) || written[index].some((part) => part.length > 0);
    return this.tables
      .filter(speaksOf)
      .map((table) => new TableChanges(table, before[table.index], written[table.index]));
  }

  /** Whether the replica, just brought to the frame's tick, has its hash; counts. True when it brings none. */
  check(frame: Frame): boolean {
    if (frame.hash === null) return true;
    this.hashesChecked++;
    const same = this.hash() === frame.hash;
    if (!same) this.desyncs++;
    return same;
  }

  /** All removals, then all whole rows, then all blocks. */
  #applyChunks(chunks: Chunk[], cursor: Cursor, written: Uint32Array[][]): void {
    const idsBefore = this.#all.map((table) => table.ids);
    for (const { table, removedAt } of chunks) {
      if (removedAt < 0) continue;
      cursor.at = removedAt;
      this.#all[table].remove(readIds(cursor, idsBefore[table]));
    }
    const held = this.#all.map((table) => table.ids);
    for (const { table, wholeAt } of chunks) {
      if (wholeAt < 0) continue;
      cursor.at = wholeAt;
      const items = cursor.array();
      if (items === 0) refuse("whole rows");
      const ids = readGaps(cursor);
      this.#all[table].putWhole(cursor, ids, items - 1);
      written[table].push(ids);
    }
    for (const chunk of chunks) this.#applyBlocks(chunk, held[chunk.table], cursor, written[chunk.table]);
  }

  #applyBlocks(
    { table: index, scopeAt, blocksAt, blocks }: Chunk,
    held: Uint32Array,
    cursor: Cursor,
    written: Uint32Array[],
  ): void {
    const table = this.#all[index];
    let scope = held;
    if (scopeAt >= 0) {
      cursor.at = scopeAt;
      scope = readGaps(cursor);
      table.checkHeld(scope);
    }
    cursor.at = blocksAt;
    for (let left = blocks; left > 0; left--) {
      const items = enterKnown(cursor);
      if (items < 0) continue;
      if (items < 3 || items % 2 === 0) refuse("block");
      const spelt = cursor.kind === ARRAY;
      const ids = readIds(cursor, scope);
      if (spelt) table.checkHeld(ids);
      table.putChanges(cursor, ids, (items - 1) / 2);
      written.push(ids);
    }
  }
}

/** Add rows of a companion that came, went or changed to what was written of its main table. */
function fold(companion: Table, main: Table, before: Uint32Array, written: Uint32Array[][]): void {
  for (const ids of [...written[companion.index], without(before, companion.ids)]) {
    const held = main.heldAmong(ids);
    if (held.length) written[main.index].push(held);
  }
}
