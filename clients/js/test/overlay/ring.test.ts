// What is kept is bounded, raw, and a copy.

import { describe, expect, test } from "vitest";
import { Recorder, type WatchedSession } from "../../src/overlay/recorder.js";
import { type Entry, Ring } from "../../src/overlay/ring.js";

function entry(number: number, bytes = 1): Entry {
  return { number, direction: "in", at: 0, bytes: new Uint8Array(bytes), schema: null, held: [], told: null };
}

const numbers = (entries: readonly Entry[]) => entries.map(({ number }) => number);

describe("a ring", () => {
  test("keeps the newest entries in their order, however many come", () => {
    const ring = new Ring(5, 1e6);
    for (let number = 1; number <= 1000; number++) {
      ring.push(entry(number));
      expect(ring.size).toBe(Math.min(number, 5));
      expect(ring.bytes).toBe(ring.size);
    }
    expect(numbers(ring.entries)).toEqual([996, 997, 998, 999, 1000]);
  });

  test("keeps no more bytes than it may, but always the newest entry", () => {
    const ring = new Ring(100, 1000);
    for (let number = 1; number <= 50; number++) ring.push(entry(number, 300));
    expect(numbers(ring.entries)).toEqual([48, 49, 50]);
    ring.push(entry(51, 5000));
    expect([numbers(ring.entries), ring.bytes]).toEqual([[51], 5000]);
    ring.push(entry(52, 10));
    expect([numbers(ring.entries), ring.bytes]).toEqual([[52], 10]);
  });

  test("counts what an entry costs besides its bytes", () => {
    const ring = new Ring(100, 1000);
    ring.push(entry(1), 600);
    ring.push(entry(2), 600);
    expect(numbers(ring.entries)).toEqual([2]);
  });
});

/** A session that does nothing, and two ways to let it do something. */
function fakeSession() {
  let observer: (direction: "in" | "out", bytes: Uint8Array, seconds: number) => void = () => {};
  // biome-ignore lint/suspicious/noExplicitAny: events of many types
  const callbacks: Record<string, (event: any) => void> = {};
  const tables = [{ ids: Uint32Array.of(1, 2) }];
  const session = {
    schema: null,
    world: { tables, allTables: tables },
    observe(callback: typeof observer) {
      observer = callback;
      return () => {
        observer = () => {};
      };
    },
    on(type: string, callback: (event: unknown) => void) {
      callbacks[type] = callback;
      return () => {
        delete callbacks[type];
      };
    },
  };
  return {
    session: session as unknown as WatchedSession,
    tables,
    callbacks,
    carry: (direction: "in" | "out", bytes: number[] | Uint8Array) => observer(direction, Uint8Array.from(bytes), 1),
    carrySame: (bytes: Uint8Array) => observer("in", bytes, 1),
  };
}

const FRAME = [0x93, 3, 0x90, 0xc0];
const MESSAGE = [0x93, 5, 0xa1, 0x61, 0xc0];

describe("a recorder", () => {
  test("keeps rare messages apart from what comes with every tick", () => {
    const { session, carry } = fakeSession();
    const recorder = new Recorder();
    recorder.watch(session);
    carry("in", MESSAGE);
    for (let i = 0; i < 1000; i++) carry("in", FRAME);
    carry("out", MESSAGE);
    const { entries } = recorder;
    expect(entries.length).toBe(202);
    expect([entries[0].bytes[1], entries.at(-1)?.direction]).toEqual([5, "out"]);
    expect(numbers(entries)).toEqual(numbers(entries).sort((a, b) => a - b));
    expect([recorder.messagesIn, recorder.messagesOut, recorder.frameBytes]).toEqual([1001, 1, 4]);
  });

  test("copies the bytes, and notes the ids as they were before", () => {
    const { session, carrySame, tables } = fakeSession();
    const recorder = new Recorder();
    recorder.watch(session);
    const bytes = Uint8Array.from(FRAME);
    carrySame(bytes);
    bytes.fill(0);
    tables[0].ids = Uint32Array.of(7);
    carrySame(Uint8Array.from(FRAME));
    carrySame(Uint8Array.from(FRAME));
    const { entries } = recorder;
    expect(entries.map((each) => [...each.bytes])).toEqual([FRAME, FRAME, FRAME]);
    expect(entries.map(({ held }) => [...held[0]])).toEqual([[1, 2], [7], [7]]);
    expect(entries[2].held).toBe(entries[1].held);
  });

  test("notes what happens to the session, and nothing any more once it has stopped", () => {
    const { session, callbacks, carry } = fakeSession();
    const recorder = new Recorder();
    recorder.watch(session);
    callbacks.dropped({ type: "dropped", code: 1006, reason: "gone", secondsLeft: 3 });
    expect(recorder.entries.map(({ told }) => told?.text)).toEqual(["connection lost: 1006 gone"]);
    recorder.stop();
    carry("in", FRAME);
    expect([recorder.entries.length, Object.keys(callbacks)]).toEqual([1, []]);
  });
});
