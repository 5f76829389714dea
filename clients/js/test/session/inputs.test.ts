// Inputs on their way to the server: merged, checked, paced.

import { beforeEach, describe, expect, it } from "vitest";
import { InputError } from "../../src/errors.js";
import { InputPacer } from "../../src/inputs.js";
import type { InputField, InputSchema } from "../../src/wire/schema.js";

const PERIOD = 0.05;

function field(name: string, type: InputField["type"], wanted: Partial<InputField> & { default: unknown }): InputField {
  return { name, type, low: null, high: null, maxLength: null, ...wanted };
}

const STEER: InputSchema = {
  name: "Steer",
  fields: [
    field("turn", "float", { default: 0, low: -1, high: 1 }),
    field("shoot", "bool", { default: false }),
    field("slot", "int", { default: 3, low: 0 }),
    field("word", "str", { default: "", maxLength: 4 }),
    field("raw", "bytes", { default: new Uint8Array(), maxLength: 2 }),
  ],
  perTick: 1,
  missing: "repeat",
};

let pacer: InputPacer;
beforeEach(() => {
  pacer = new InputPacer(STEER, PERIOD);
});

/** Sends what waits; its values, without the bytes. */
function send(now: number): unknown[] {
  const [, values] = pacer.peek();
  pacer.sent(now);
  return values.slice(0, 4);
}

function isDue(now: number, roundTrip: number | null): boolean {
  return now >= pacer.dueAt(roundTrip);
}

describe("merging", () => {
  it("gives fields that are left out their defaults", () => {
    pacer.offer({ shoot: true });
    expect(send(0)).toEqual([0, true, 3, ""]);
    pacer.offer({});
    expect(send(1)).toEqual([0, false, 3, ""]);
  });

  it("keeps a bool true that was true once", () => {
    for (const shoot of [false, true, false]) pacer.offer({ shoot });
    expect(send(0)[1]).toBe(true);
  });

  it("takes the latest of other fields and keeps what is not named", () => {
    pacer.offer({ turn: 0.5, word: "a" });
    pacer.offer({ turn: -0.5 });
    expect(send(0)).toEqual([-0.5, false, 3, "a"]);
  });

  it("lets a bool be false whose default is true", () => {
    const one = new InputPacer({ ...STEER, fields: [field("on", "bool", { default: true })] }, PERIOD);
    one.offer({ on: false });
    expect(one.peek()).toEqual([1, [false]]);
  });

  it("does not touch what has left", () => {
    const kept = new InputPacer(STEER, PERIOD, true);
    kept.offer({ turn: 1 });
    kept.sent(0);
    kept.offer({ turn: -1 });
    expect(kept.cameBack(0)[0][1][0]).toBe(1);
  });
});

describe("values that do not fit", () => {
  it.each([
    [{ trun: 1 }, 'Steer has no field "trun"; it has turn, shoot, slot, word, raw'],
    [{ turn: "left" }, "Steer.turn takes float from -1 to 1, not left"],
    [{ turn: 1.5 }, "Steer.turn takes float from -1 to 1, not 1.5"],
    [{ turn: Number.NaN }, "Steer.turn takes float from -1 to 1, not NaN"],
    [{ shoot: 1 }, "Steer.shoot takes bool, not 1"],
    [{ shoot: null }, "Steer.shoot takes bool, not null"],
    [{ slot: true }, "Steer.slot takes int from 0, not true"],
    [{ slot: 1.5 }, "Steer.slot takes int from 0, not 1.5"],
    [{ slot: 2 ** 60 }, "Steer.slot takes int from 0, not 115292150460684"],
    [{ slot: -1 }, "Steer.slot takes int from 0, not -1"],
    [{ word: "abcde" }, "Steer.word takes str to 4, not abcde"],
    [{ raw: [1] }, "Steer.raw takes bytes to 2, not 1"],
    [{ raw: new Uint8Array(3) }, "Steer.raw takes bytes to 2, not 0,0,0"],
  ])("refuses %o by name", (values, said) => {
    expect(() => pacer.offer(values as Record<string, unknown>)).toThrow(InputError);
    expect(() => pacer.offer(values as Record<string, unknown>)).toThrow(said);
    expect(pacer.waiting).toBe(false);
  });

  it("change nothing of what was merged", () => {
    pacer.offer({ turn: 1 });
    expect(() => pacer.offer({ turn: 0.5, slot: "x" })).toThrow(InputError);
    expect(send(0)[0]).toBe(1);
  });

  it("counts characters, not halves of them", () => {
    pacer.offer({ word: "\u{1F680}\u{1F680}\u{1F680}\u{1F680}" });
    expect(pacer.waiting).toBe(true);
  });

  it("says so in a room without inputs", () => {
    expect(() => new InputPacer(null, PERIOD).offer({})).toThrow("takes no inputs");
  });
});

describe("pacing", () => {
  it.each([19.7, 30, 60, 144])("sends one input per tick from a loop of %f Hz", (rate) => {
    const sent: number[] = [];
    for (let frame = 0; frame < 10 * rate; frame++) {
      const now = frame / rate;
      pacer.applied = pacer.sequence;
      pacer.offer({ turn: 0 });
      if (!isDue(now, 0)) continue;
      send(now);
      sent.push(now);
    }
    const gaps = sent.slice(1).map((at, index) => at - sent[index]);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(PERIOD / 2 - 1e-9);
    expect(sent.length).toBeLessThanOrEqual(10 / PERIOD + 2);
    expect(sent.length).toBeGreaterThanOrEqual(0.97 * 10 * Math.min(rate, 1 / PERIOD));
  });

  it("does not lower the rate for the caller's jitter", () => {
    let sent = 0;
    for (let tick = 0; tick < 400; tick++) {
      const now = tick * PERIOD * 0.999 + ((tick * 7919) % 1000) / 50000; // up to 20 ms, and our clock is slow
      pacer.applied = pacer.sequence;
      pacer.offer({});
      if (!isDue(now, 0)) continue;
      send(now);
      sent++;
    }
    expect(sent).toBeGreaterThanOrEqual(0.97 * 400);
  });

  it("does not save up idleness", () => {
    pacer.offer({});
    send(0);
    let sent = 0;
    for (let step = 0; step < 1000; step++) {
      pacer.applied = pacer.sequence;
      pacer.offer({});
      if (!isDue(10 + step / 1000, 0)) continue;
      send(10 + step / 1000);
      sent++;
    }
    expect(sent).toBeLessThanOrEqual(1 / PERIOD + 2);
  });

  it("waits while the server has a queue of them", () => {
    let now = 0;
    for (let count = 0; count < 2; count++, now += PERIOD) {
      pacer.offer({});
      expect(isDue(now, 0.02)).toBe(true);
      send(now);
    }
    pacer.offer({ shoot: true });
    expect(isDue(now, 0.02)).toBe(false);
    expect(isDue(now, 0.15)).toBe(true); // a longer way explains more of them
    pacer.applied = 1;
    expect(isDue(now, 0.02)).toBe(true);
  });

  it("lets one leave at last whatever is unapplied", () => {
    for (const now of [0, 0.05, 0.1, 0.15]) {
      pacer.offer({});
      send(now);
    }
    pacer.offer({});
    expect(isDue(0.6, 0)).toBe(false);
    expect(isDue(0.7, 0)).toBe(true);
  });

  it("is never due when nothing waits", () => {
    expect(pacer.dueAt(null)).toBe(Infinity);
  });
});

describe("coming back", () => {
  it("gives those again that the server does not have, the newest 64", () => {
    pacer = new InputPacer(STEER, PERIOD, true);
    for (let count = 0; count < 100; count++) {
      pacer.offer({ slot: count });
      pacer.sent(count);
    }
    expect(pacer.cameBack(98).map(([sequence, values]) => [sequence, values[2]])).toEqual([
      [99, 98],
      [100, 99],
    ]);
    expect(pacer.cameBack(0)).toHaveLength(64);
  });

  it("goes on behind what the page before this one has sent", () => {
    expect(pacer.cameBack(41)).toEqual([]);
    pacer.offer({});
    expect(pacer.peek()[0]).toBe(42);
  });

  it("keeps nothing where there is no seat", () => {
    pacer.offer({});
    pacer.sent(0);
    expect(pacer.cameBack(0)).toEqual([]);
  });
});
