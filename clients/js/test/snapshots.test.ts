import { describe, expect, test } from "vitest";
import { type SnapshotOptions, Snapshots } from "../src/snapshots.js";

const RATE = 20;
type Rows = Record<number, Record<string, number>>;

/** A session that holds what the test says, and its clock. */
class Stream {
  tick = 0;
  tickRate = RATE;
  seconds = 100;
  #rows: Rows = {};
  #listeners = new Set<() => void>();

  readonly world = {
    table: (name: string) => {
      if (name !== "Ship") throw new Error(`no table ${name}`);
      return {
        ids: Uint32Array.from(Object.keys(this.#rows), Number),
        column: (field: string) => Float64Array.from(Object.values(this.#rows), (row) => row[field]),
      };
    },
  };

  on(_type: "frame", callback: () => void): () => void {
    this.#listeners.add(callback);
    return () => this.#listeners.delete(callback);
  }

  frame(tick: number, rows: Rows): void {
    this.tick = tick;
    this.#rows = rows;
    for (const listener of this.#listeners) listener();
  }
}

function shown(options: SnapshotOptions["tables"][string], delayTicks = 2): [Stream, Snapshots] {
  const stream = new Stream();
  return [stream, new Snapshots(stream, { tables: { Ship: options }, delayTicks, clock: () => stream.seconds })];
}

/** Two states of one row, ten ticks apart in each figure, and the moment `share` of the way from one to the other. */
function between(options: SnapshotOptions["tables"][string], from: object, to: object, share: number) {
  const [stream, snapshots] = shown(options, 1);
  stream.frame(10, { 7: { ...from } });
  snapshots.advance(0);
  stream.frame(11, { 7: { ...to } });
  stream.seconds += share / RATE;
  snapshots.advance(1 / RATE + share / RATE);
  return snapshots.place("Ship", 7);
}

describe("between two states", () => {
  test.each([
    ["a field", { fields: ["x"] }, { x: 10 }, { x: 20 }, { x: 12.5 }],
    ["several", { fields: ["x", "y"] }, { x: 10, y: 0 }, { x: 20, y: -4 }, { x: 12.5, y: -1 }],
    ["over the right edge", { fields: ["x"], wrap: 2000 }, { x: 1998 }, { x: 6 }, { x: 0 }],
    ["over the left edge", { fields: ["x"], wrap: 2000 }, { x: 1 }, { x: 1993 }, { x: 1999 }],
    ["a quarter turn over 0", { angles: ["a"] }, { a: 6.2 }, { a: 0.2 }, { a: 6.2 + (0.2 + 2 * Math.PI - 6.2) / 4 }],
    ["an angle back over 0", { angles: ["a"] }, { a: 0.1 }, { a: 6.2 }, { a: 0.1 - (0.1 + 2 * Math.PI - 6.2) / 4 }],
    ["a jump", { fields: ["x", "y"], jump: 200 }, { x: 10, y: 5 }, { x: 211, y: 9 }, { x: 10, y: 5 }],
    ["no jump over the edge", { fields: ["x"], wrap: 2000, jump: 200 }, { x: 1990 }, { x: 10 }, { x: 1995 }],
    [
      "a turn is no jump",
      { fields: ["x"], angles: ["a"], jump: 1 },
      { x: 1, a: 0 },
      { x: 2, a: 2 },
      { x: 1.25, a: 0.5 },
    ],
  ])("%s", (_name, options, from, to, wanted) => {
    const place = between(options, from, to, 0.25) as Record<string, number>;
    expect(Object.keys(place)).toEqual(Object.keys(wanted));
    for (const [field, value] of Object.entries(wanted)) expect(place[field]).toBeCloseTo(value, 9);
  });

  test("a row appears and goes when its states are shown, not when they come", () => {
    const [stream, snapshots] = shown({ fields: ["x"] }, 2);
    const ids = () => {
      const found: number[] = [];
      snapshots.each("Ship", (_place, id) => found.push(id));
      return found;
    };
    stream.frame(1, { 3: { x: 0 } });
    snapshots.advance(0);
    const seen = [ids()];
    for (const [tick, rows] of [
      [2, [3, 5]],
      [3, [5]],
      [4, [5]],
      [5, [5]],
    ] as [number, number[]][]) {
      stream.seconds += 1 / RATE;
      stream.frame(tick, Object.fromEntries(rows.map((id) => [id, { x: tick }])));
      snapshots.advance(1 / RATE + 1e-9);
      seen.push(ids());
    }
    expect(seen).toEqual([[3], [3], [3], [3, 5], [5]]);
    expect(snapshots.place("Ship", 3)).toBeNull();
  });
});

/** Deterministic numbers from 0 to below 1. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * A ship that flies with a constant speed of 10 units a tick, watched for some seconds at 60 Hz. `late` says how many
 * seconds after its tick each state comes; order is kept, as TCP does. Gives its way in each animation frame.
 */
function flight(late: (tick: number) => number, seconds: number, delayTicks = 2): number[] {
  const [stream, snapshots] = shown({ fields: ["x"], wrap: 2000, jump: 200 }, delayTicks);
  const ways: number[] = [];
  let tick = 0;
  let last: number | null = null;
  let arrival = 0;
  for (let frame = 0; frame < seconds * 60; frame++) {
    const now = frame / 60;
    for (;;) {
      arrival = Math.max(arrival, tick / RATE + late(tick));
      if (arrival > now) break;
      stream.seconds = 100 + arrival;
      stream.frame(tick, { 1: { x: (tick * 10) % 2000 } });
      tick++;
    }
    stream.seconds = 100 + now;
    snapshots.advance(1 / 60);
    const x = snapshots.place("Ship", 1)?.x ?? null;
    if (x !== null && last !== null) ways.push(((x - last + 3000) % 2000) - 1000);
    last = x;
  }
  return ways;
}

const EVEN = (10 * RATE) / 60;

describe("smoothness: the way that a ship of constant speed makes in each animation frame", () => {
  test.each([
    ["states on time", () => 0.02, 0.01],
    ["up to 15 ms late", jitter(0.015), 0.05],
    ["up to 40 ms late", jitter(0.04), 0.1],
  ])("%s", (_name, late, share) => {
    const ways = flight(late, 20).slice(120); // the first two seconds find the pace
    expect(Math.max(...ways)).toBeLessThan(EVEN * (1 + share));
    expect(Math.min(...ways)).toBeGreaterThan(EVEN * (1 - share));
  });

  test("what comes later than the delay is a stop, and never a step back", () => {
    const ways = flight((tick) => (tick % 40 === 0 ? 0.15 : 0.01), 20).slice(120);
    expect(Math.min(...ways)).toBeGreaterThanOrEqual(0);
    const even = ways.filter((way) => Math.abs(way - EVEN) < EVEN * 0.1).length;
    expect(even / ways.length).toBeGreaterThan(0.85);
  });

  test.each([
    ["all that was missed comes at once", 1],
    ["one state stands for all", 40],
  ])("a stream that stood still for two seconds jumps once: %s", (_name, step) => {
    const [stream, snapshots] = shown({ fields: ["x"], wrap: 2000 });
    const places: number[] = [];
    for (let frame = 0, tick = 0; frame < 480; frame++) {
      stream.seconds = 100 + frame / 60;
      const stalled = frame > 120 && frame < 240;
      while (!stalled && tick <= frame / 3) {
        stream.frame(tick, { 1: { x: tick } });
        tick += tick >= 40 && tick < 80 ? step : 1;
      }
      snapshots.advance(1 / 60);
      places.push(snapshots.place("Ship", 1)?.x as number);
    }
    const ways = places.slice(1).map((x, i) => x - places[i]);
    expect(ways.filter((way) => way > 1)).toHaveLength(1); // 1/3 is even
    expect(Math.min(...ways)).toBeGreaterThanOrEqual(0);
    expect(ways.slice(250).every((way) => Math.abs(way - 1 / 3) < 0.04)).toBe(true);
  });

  test.each([0.1, 5])("a page that was hidden for 5 s and is told of %s s shows now with one jump", (told) => {
    const [stream, snapshots] = shown({ fields: ["x"] });
    const places: number[] = [];
    for (let frame = 0, tick = 0; frame < 600; frame++) {
      stream.seconds = 100 + frame / 60;
      while (tick <= frame / 3) stream.frame(tick, { 1: { x: tick++ } });
      if (frame > 100 && frame < 400) continue; // states come, nothing is drawn
      snapshots.advance(frame === 400 ? told : 1 / 60);
      places.push(snapshots.place("Ship", 1)?.x as number);
    }
    const ways = places.slice(1).map((x, i) => x - places[i]);
    expect(ways.filter((way) => way > 1)).toEqual([expect.closeTo(100, 0)]);
    expect(ways.filter((way) => way > 0.34 && way < 1)).toEqual([]);
  });
});

test("the same object is used again, and nothing is kept after stop", () => {
  const [stream, snapshots] = shown({ fields: ["x"] });
  stream.frame(1, { 1: { x: 1 }, 2: { x: 2 } });
  snapshots.advance(0);
  expect(snapshots.place("Ship", 1)).toBe(snapshots.place("Ship", 2));
  const seen: [number, number][] = [];
  snapshots.each("Ship", (place, id) => seen.push([id, place.x]));
  expect(seen).toEqual([
    [1, 1],
    [2, 2],
  ]);
  snapshots.stop();
  stream.frame(9, {});
  snapshots.advance(1);
  expect(snapshots.place("Ship", 1)).not.toBeNull();
});

test("a time that goes back begins anew, and before the first state there is nothing", () => {
  const [stream, snapshots] = shown({ fields: ["x"] });
  snapshots.advance(1);
  expect(snapshots.tick).toBeNull();
  expect(snapshots.place("Ship", 1)).toBeNull();
  stream.frame(500, { 1: { x: 1 } });
  snapshots.advance(0.01);
  stream.frame(3, { 1: { x: 50 } });
  snapshots.advance(0.01);
  expect(snapshots.place("Ship", 1)).toEqual({ x: 50 });
  expect(() => snapshots.place("Shop", 1)).toThrow("no snapshots of Shop");
});

/** How late each tick's state is: at most so many seconds, and often much less. */
function jitter(seconds: number): (tick: number) => number {
  const random = chance(5);
  const late: number[] = [];
  return (tick) => {
    late[tick] ??= random() * seconds;
    return late[tick];
  };
}
