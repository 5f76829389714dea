/** What Snapshots needs of a session: a `Session` of this package, or anything that looks like it. */
export interface SnapshotSource {
  /** Tick of the newest state held. */
  readonly tick: number;
  /** States in a second. */
  readonly tickRate: number;
  readonly world: {
    table(name: string): { readonly ids: Uint32Array; column(name: string): ArrayLike<unknown> };
  };
  on(type: "frame", callback: () => void): () => void;
}

/** How the rows of one table move. */
export interface SnapshotTable {
  /** Numbers that move. */
  fields?: readonly string[];
  /** Radians: they turn the short way round. */
  angles?: readonly string[];
  /** Width of a world whose edges wrap: `fields` go the short way round it, and stay from 0 to below it. */
  wrap?: number;
  /** A row of which one of the `fields` changes by more than this between two states is not moved but put there. */
  jump?: number;
}

export interface SnapshotOptions {
  /** By the names of the tables. */
  tables: Record<string, SnapshotTable>;
  /** How far in the past the world is shown; what comes later than this is seen as a stop. 2 when left out. */
  delayTicks?: number;
  /** Seconds of a clock that never goes back, for tests. */
  clock?: () => number;
}

/** One state of one table. */
interface Moment {
  /** Ascending. */
  ids: Uint32Array;
  /** Those of a row stand together. */
  values: Float64Array;
}

interface Track {
  names: string[];
  /** The width at which each of `names` wraps; 0: it does not. */
  wraps: number[];
  jump: number;
  /** How many of `names` count for `jump`: the angles stand behind them. */
  judged: number;
  /** As many as there are ticks kept. */
  moments: Moment[];
  shown: Moment;
  place: Record<string, number>;
}

/** Above this error, in ticks, the clock is put right at once; below it, it runs a little faster or slower. */
const SNAP_TICKS = 5;
/** Share of the clock's error that is mended in a second: so little that late frames are not seen. */
const PULL = 1;
/** States that are kept beyond the delay, for frames that come in bursts. */
const SPARE_STATES = 6;

/**
 * Motion between states: the 20 that a server sends in a second become as many as the screen shows.
 *
 * The world is shown a little in the past, between two states that are known, and never beyond the newest. The time
 * shown runs by the page's clock and is drawn gently to where it should be, so that early and late frames are not seen.
 * A stream that stood still goes on with one jump, not in quick motion.
 *
 *     const snapshots = new Snapshots(session, { tables: { Ship: { fields: ["x", "y"], angles: ["heading"] } } });
 *     // once per animation frame
 *     snapshots.advance(seconds);
 *     snapshots.each("Ship", (place, id) => draw(place.x, place.y, place.heading));
 */
export class Snapshots {
  /** Keep no further states. */
  readonly stop: () => void;
  /** The time shown, in ticks; null before the first state. What happened at a tick is to be seen when it is reached. */
  tick: number | null = null;
  readonly #session: SnapshotSource;
  readonly #delay: number;
  readonly #clock: () => number;
  readonly #tracks: Record<string, Track> = {};
  /** Of the states kept, the oldest first. */
  #ticks: number[] = [];
  #arrived = 0;

  constructor(session: SnapshotSource, options: SnapshotOptions) {
    this.#session = session;
    this.#delay = options.delayTicks ?? 2;
    this.#clock = options.clock ?? (() => performance.now() / 1000);
    for (const name in options.tables) this.#tracks[name] = makeTrack(options.tables[name]);
    this.stop = session.on("frame", () => this.#remember());
  }

  /** Let time pass, once per animation frame. `seconds`: since the last time; a long pause may be cut short. */
  advance(seconds: number): void {
    const ticks = this.#ticks;
    if (!ticks.length) return;
    const rate = this.#session.tickRate;
    const newest = ticks.length - 1;
    const wanted = ticks[newest] + (this.#clock() - this.#arrived) * rate - this.#delay;
    const expected = this.tick === null ? wanted : this.tick + seconds * rate;
    const error = wanted - expected;
    const now = expected + (Math.abs(error) > SNAP_TICKS ? error : error * Math.min(1, PULL * seconds));
    let earlier = newest;
    while (earlier && ticks[earlier] > now) earlier--;
    const later = Math.min(earlier + 1, newest);
    const share = Math.max(0, (now - ticks[earlier]) / (ticks[later] - ticks[earlier] || 1));
    for (const name in this.#tracks) blend(this.#tracks[name], earlier, later, share);
    this.tick = now;
  }

  /** Each row of a table at the time shown, by ascending id. `place` is one object, used again for the next row. */
  each(table: string, callback: (place: Readonly<Record<string, number>>, id: number) => void): void {
    const track = this.#track(table);
    track.shown.ids.forEach((id, row) => {
      callback(placed(track, row), id);
    });
  }

  /** One row at the time shown; null when it is not there, or not yet. The object is used again, as that of `each`. */
  place(table: string, id: number): Readonly<Record<string, number>> | null {
    const track = this.#track(table);
    const row = track.shown.ids.indexOf(id);
    return row < 0 ? null : placed(track, row);
  }

  #track(table: string): Track {
    const track = this.#tracks[table];
    if (!track) throw new Error(`there are no snapshots of ${table}: name it in tables`);
    return track;
  }

  /** Keep where everything is. */
  #remember(): void {
    const tick = this.#session.tick;
    const goesBack = tick <= this.#ticks[this.#ticks.length - 1]; // then nothing of before counts
    const dropped = goesBack ? this.#ticks.length : Math.max(0, this.#ticks.length + 1 - this.#delay - SPARE_STATES);
    this.#arrived = this.#clock();
    this.#ticks.splice(0, dropped);
    this.#ticks.push(tick);
    for (const name in this.#tracks) {
      const { names, moments } = this.#tracks[name];
      const table = this.#session.world.table(name);
      const values = new Float64Array(table.ids.length * names.length);
      names.forEach((field, i) => {
        const column = table.column(field) as ArrayLike<number>;
        for (let row = 0; row < column.length; row++) values[row * names.length + i] = column[row];
      });
      moments.splice(0, dropped);
      moments.push({ ids: table.ids, values });
    }
  }
}

function makeTrack({ fields = [], angles = [], wrap = 0, jump = Infinity }: SnapshotTable): Track {
  const names = [...fields, ...angles];
  const wraps = names.map((_, i) => (i < fields.length ? wrap : 2 * Math.PI));
  const shown = { ids: new Uint32Array(), values: new Float64Array() };
  return { names, wraps, jump, judged: fields.length, moments: [], shown, place: {} };
}

function placed({ shown, names, place }: Track, row: number): Record<string, number> {
  for (let i = 0; i < names.length; i++) place[names[i]] = shown.values[row * names.length + i];
  return place;
}

/** Show the rows of one moment, with `share` of the way to where they are in a later one. */
function blend({ moments, shown, wraps, jump, judged }: Track, earlier: number, later: number, share: number): void {
  const { ids, values: from } = moments[earlier];
  const { ids: nextIds, values: to } = moments[later];
  const width = wraps.length;
  if (shown.values.length < from.length) shown.values = new Float64Array(from.length * 2);
  shown.ids = ids;
  for (let row = 0, next = 0; row < ids.length; row++) {
    while (nextIds[next] < ids[row]) next++;
    const at = row * width;
    const then = next * width;
    let part = nextIds[next] === ids[row] ? share : 0;
    for (let i = 0; i < judged; i++) {
      if (Math.abs(shortest(to[then + i] - from[at + i], wraps[i])) > jump) part = 0;
    }
    for (let i = 0; i < width; i++) {
      const way = part && part * shortest(to[then + i] - from[at + i], wraps[i]);
      shown.values[at + i] = inside(from[at + i] + way, wraps[i]);
    }
  }
}

/** A way along one axis, the short way round a width at which it wraps. */
function shortest(way: number, width: number): number {
  return width ? way - width * Math.round(way / width) : way;
}

/** A value from 0 to below a width at which it wraps. */
function inside(value: number, width: number): number {
  return width ? value - width * Math.floor(value / width) : value;
}
