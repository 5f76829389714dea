// When a player who lost its connection comes back: tables of what is worth a try, and models in virtual time.

import { describe, expect, it } from "vitest";
import { reconnectSeconds, worthTrying } from "../../src/closing.js";
import { FIRST_WAIT_SECONDS, Returning, STEADY_SECONDS, WIDEST_SECONDS } from "../../src/returning.js";
import { patienceSeconds, Silence } from "../../src/silence.js";
import { dice } from "./support.js";

const COME_BACK = [1001, 1005, 1006, 1012, 1013, 4002, 4008, 1004, 1010, 1014, 3000, 3999];
const FINAL = [1000, 1002, 1003, 1007, 1008, 1009, 1011, 4001, 4003, 4010, 4013, 4014, 4015, 4099, 4999];

describe("close codes", () => {
  it.each(COME_BACK)("%i is worth a try", (code) => expect(worthTrying(code)).toBe(true));
  it.each(FINAL)("%i is not worth a try", (code) => expect(worthTrying(code)).toBe(false));

  it.each([
    [1012, "the server restarts; reconnect in 2.5 s", 2.5],
    [1013, "reconnect in 30 s", 30],
    [1012, "reconnect in 30 s, perhaps", null],
    [1001, "reconnect in 30 s", null],
    [1012, "", null],
  ])("%i with %o names %o s", (code, reason, seconds) => expect(reconnectSeconds(code, reason)).toBe(seconds));
});

function lost(chance = 0, { seatSeconds = 30, at = 100, said = null as number | null } = {}): Returning {
  const returning = new Returning(() => chance);
  returning.lost(at, 1006, "the server vanished", seatSeconds, said);
  return returning;
}

/** How long is waited before each of so many attempts, all of which fail at once. */
function waits(returning: Returning, attempts: number): number[] {
  const found = [];
  let now = 100;
  for (let attempt = 0; attempt < attempts; attempt++) {
    found.push(returning.attemptAt - now);
    now = returning.attemptAt;
    returning.begin();
    expect(returning.waits).toBe(false);
    returning.failed(now, "refused");
  }
  return found;
}

describe("returning", () => {
  it("comes at once but for a little, then the range doubles", () => {
    const almost = 1 - 2 ** -53;
    const widest = waits(lost(almost, { seatSeconds: 1000 }), 9);
    expect(widest.map((seconds) => Number(seconds.toFixed(9)))).toEqual([0.1, 0.25, 0.5, 1, 2, 4, 5, 5, 5]);
    expect(waits(lost(0, { seatSeconds: 1000 }), 9)).toEqual(Array(9).fill(0));
  });

  it("waits for what the server says, also when somebody hurries it", () => {
    const returning = lost(0.5, { said: 4 });
    returning.hurry(100.1);
    expect(returning.attemptAt).toBe(104 + 0.5 * FIRST_WAIT_SECONDS);
    returning.begin();
    returning.failed(104.5, "the server restarts", 7);
    expect(returning.attemptAt).toBe(111.5 + 0.5 * 0.25);
  });

  it("comes at once when the network is back, but never later than planned", () => {
    const returning = lost(0.5, { seatSeconds: 1000 });
    waits(returning, 8);
    const planned = returning.attemptAt;
    returning.hurry(planned - 2);
    expect(returning.attemptAt).toBe(planned - 2 + 0.5 * FIRST_WAIT_SECONDS);
    returning.hurry(returning.attemptAt);
    expect(returning.attemptAt).toBeLessThan(planned);
    returning.begin();
    returning.hurry(planned);
    expect(returning.waits).toBe(false);
  });

  it("tells who is to come when the seat is gone with the server's words", () => {
    const returning = lost(0, { said: 30 });
    expect(returning.gaveUp).toBe(true);
    expect([returning.code, returning.reason]).toEqual([1006, "the server vanished"]);
  });

  it("does not come back to a seat that is not kept", () => {
    const returning = lost(0, { seatSeconds: 0 });
    expect([returning.gaveUp, returning.waits]).toEqual([true, false]);
  });

  it("says why it gave up", () => {
    const returning = lost();
    returning.begin();
    returning.failed(130, "nothing listens on x");
    expect(returning.reason).toBe("the server vanished; there was no way back within 30 s (nothing listens on x)");
  });

  it("does not hurry after a connection that did not live", () => {
    const returning = lost(0.999999);
    const found: number[] = [];
    let now = 100;
    for (let time = 0; time < 5; time++) {
      found.push(returning.attemptAt - now);
      now = returning.attemptAt;
      returning.begin();
      returning.returned(now);
      now += STEADY_SECONDS / 2;
      returning.lost(now, 1006, "", 30);
    }
    expect(found.map((seconds) => Number(seconds.toFixed(4)))).toEqual([0.1, 0.25, 0.5, 1, 2]);
    now = returning.attemptAt;
    returning.begin();
    returning.returned(now);
    returning.lost(now + STEADY_SECONDS, 1006, "", 30);
    expect(returning.attemptAt - now - STEADY_SECONDS).toBeCloseTo(0.1, 4);
  });

  it("sums the time away", () => {
    const returning = lost();
    expect(returning.secondsAway(101)).toBe(1);
    returning.begin();
    expect(returning.returned(103)).toBe(3);
    expect(returning.secondsAway(200)).toBe(3);
    returning.lost(200, 1006, "", 30);
    expect(returning.secondsAway(201.5)).toBe(4.5);
    expect(returning.returns).toBe(1);
  });

  it.each([1, 2, 3, 4, 5])("begins attempts while the seat is kept, and ends some time (dice %i)", (seed) => {
    const random = dice(seed);
    for (let game = 0; game < 50; game++) {
      const seatSeconds = random() * 120;
      const returning = new Returning(random);
      returning.lost(100, 1006, "lost", seatSeconds);
      let now = 100;
      for (let attempt = 0; attempt < 1000 && !returning.gaveUp; attempt++) {
        expect(returning.attemptAt).toBeGreaterThanOrEqual(now);
        expect(returning.attemptAt).toBeLessThanOrEqual(100 + seatSeconds);
        if (!attempt) expect(returning.attemptAt).toBeLessThanOrEqual(now + FIRST_WAIT_SECONDS);
        now = returning.attemptAt + random() * 6;
        const said = random() < 0.3 ? random() * 20 : null;
        returning.begin();
        returning.failed(now, "no", said);
        if (said === null && !returning.gaveUp) expect(returning.attemptAt).toBeLessThanOrEqual(now + WIDEST_SECONDS);
      }
      expect(returning.gaveUp).toBe(true);
      expect(returning.reason).not.toBe("");
    }
  });

  it("spreads a crowd that is lost in one moment", () => {
    const random = dice(7);
    const busy = new Map<number, number>();
    for (let player = 0; player < 1000; player++) {
      const returning = new Returning(random);
      returning.lost(0, 1006, "", 60);
      for (let attempt = 0; attempt < 2; attempt++) {
        const now = returning.attemptAt;
        returning.begin();
        returning.failed(now, "");
      }
      const slot = Math.floor(returning.attemptAt * 100);
      busy.set(slot, (busy.get(slot) ?? 0) + 1);
    }
    expect(Math.max(...busy.values())).toBeLessThan(1000 / 20); // in 10 ms
  });
});

describe("silence", () => {
  it.each([
    [0.05, true, 3],
    [1, true, 20],
    [0.05, false, 15],
    [1, false, 20],
  ])("with a period of %f s and a seat kept: %o is borne for %f s", (period, hasSeat, seconds) => {
    expect(patienceSeconds(period, hasSeat)).toBe(seconds);
  });

  it.each([1 / 60, 0.1, 1])("is noticed in time by who looks every %f s", (step) => {
    const silence = new Silence(3);
    silence.note(10, true);
    let now = 10;
    for (; !silence.tooLong; now += step) silence.note(now, false);
    expect(now).toBeGreaterThan(12.99);
    expect(now).toBeLessThan(13.01 + 2 * step);
  });

  it("does not count an hour in which nobody has looked", () => {
    const silence = new Silence(3);
    silence.note(10, true);
    silence.note(3610, false);
    silence.note(3611, false);
    expect(silence.tooLong).toBe(false);
    silence.note(3611.5, true);
    for (let second = 12; second < 14; second++) silence.note(3600 + second, false);
    expect(silence.tooLong).toBe(false);
  });

  it("is never too long in a room that may be silent", () => {
    const silence = new Silence();
    for (let now = 0; now < 100_000; now += 50) silence.note(now, false);
    expect(silence.tooLong).toBe(false);
    expect(silence.step).toBe(Infinity);
  });
});
