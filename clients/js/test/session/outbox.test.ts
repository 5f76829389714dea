// Messages that are kept until the server has them, and requests that wait for an answer.

import { describe, expect, it } from "vitest";
import { RequestFailedError, RequestTimeoutError } from "../../src/errors.js";
import { AGAIN_BYTES, KEPT_BYTES, Outbox } from "../../src/outbox.js";
import { Requests } from "../../src/requests.js";

/** An outbox in which so many messages of `size` bytes were sent, at clock values 1, 2, 3, ... */
function filled(count: number, size = 10): Outbox {
  const outbox = new Outbox(true);
  for (let number = 1; number <= count; number++) outbox.add(`kind ${number}`, new Uint8Array(size), 0, number);
  return outbox;
}

/** The numbers of what is sent again at `now`. */
function sendAgain(outbox: Outbox, now: number): number[] {
  const sent = [];
  for (let kept = outbox.nextWaiting(now); kept; kept = outbox.nextWaiting(now)) {
    sent.push(kept.number);
    outbox.sentAgain(kept, 1000);
  }
  return sent;
}

describe("outbox", () => {
  it.each([
    [5, 5, 4], // what left at that clock value may be behind what answered
    [5, 6, 5],
    [5, 0, 0],
    [5, 2 ** 32 - 1, 0], // earlier, modulo 2**32
    [5, 2 ** 31 - 1, 5],
  ])("of %i messages, an answer to clock value %i forgets %i", (count, clientTime, forgotten) => {
    const outbox = filled(count);
    outbox.answered(clientTime);
    expect(outbox.size).toBe(count - forgotten);
  });

  it("knows clock values that wrap around", () => {
    const outbox = new Outbox(true);
    outbox.add("a", new Uint8Array(1), 0, 2 ** 32 - 5);
    outbox.answered(3);
    expect(outbox.size).toBe(0);
  });

  it("forgets the oldest when the server says nothing for long", () => {
    const outbox = filled(1000, 1000);
    expect(outbox.size).toBe(Math.floor(KEPT_BYTES / 1000));
    expect(outbox.hasRoom(KEPT_BYTES - outbox.size * 1000)).toBe(true);
    expect(outbox.hasRoom(KEPT_BYTES - outbox.size * 1000 + 1)).toBe(false);
  });

  it("keeps nothing without a seat, and takes nothing that must wait", () => {
    const outbox = new Outbox(false);
    outbox.add("a", new Uint8Array(1), 0, 1);
    expect([outbox.size, outbox.number, outbox.hasRoom(1)]).toEqual([0, 1, false]);
  });

  it("sends again what has not come, once and in order", () => {
    const outbox = filled(5);
    outbox.cameBack(2, 10);
    expect(sendAgain(outbox, 10)).toEqual([3, 4, 5]);
    expect(sendAgain(outbox, 100)).toEqual([]);
    outbox.answered(1001);
    expect(outbox.size).toBe(0);
  });

  it("spreads much of it over seconds", () => {
    const outbox = filled(60, 1000);
    outbox.cameBack(0, 0);
    let sent = 0;
    for (let now = 0; now <= 3; now += 0.05) {
      sent += sendAgain(outbox, now).length;
      expect(sent * 1000).toBeLessThanOrEqual(AGAIN_BYTES * (1 + now) + 1200);
    }
    expect(sent).toBeGreaterThan(20);
    for (let now = 3; now < 12; now += 0.05) sent += sendAgain(outbox, now).length;
    expect([sent, outbox.waiting]).toEqual([60, 0]);
  });

  it("goes on behind what the page before this one has said", () => {
    const outbox = new Outbox(true);
    outbox.cameBack(17, 0);
    outbox.add("a", new Uint8Array(1), 0, 1);
    expect(outbox.number).toBe(18);
  });

  it("remembers kinds for a while", () => {
    const outbox = filled(300);
    expect([outbox.kindOf(300), outbox.kindOf(45), outbox.kindOf(44), outbox.kindOf(0)]).toEqual([
      "kind 300",
      "kind 45",
      "",
      "",
    ]);
  });
});

describe("requests", () => {
  it("resolve and reject as the room says", async () => {
    const requests = new Requests();
    const good = requests.add("buy", 1, 10);
    const bad = requests.add("buy", 2, 10);
    expect(requests.answer(1, null, 5)).toBe(true);
    expect(requests.answer(2, "sold_out", "come tomorrow")).toBe(true);
    expect(requests.answer(3, null, 5)).toBe(false);
    expect(await good).toBe(5);
    await expect(bad).rejects.toEqual(new RequestFailedError("sold_out", "come tomorrow"));
  });

  it("fail in time, and know a late answer", async () => {
    const requests = new Requests();
    const late = requests.add("buy", 1, 10);
    const later = requests.add("buy", 2, 20);
    requests.expire(9.9);
    expect(requests.nextDeadline).toBe(10);
    requests.expire(10);
    await expect(late).rejects.toBeInstanceOf(RequestTimeoutError);
    expect(requests.nextDeadline).toBe(20);
    expect(requests.answer(1, "no", null)).toBe(true);
    expect(requests.answer(1, "no", null)).toBe(false);
    expect(requests.answer(2, null, "yes")).toBe(true);
    expect(await later).toBe("yes");
  });

  it("all fail when it is over", async () => {
    const requests = new Requests();
    const waiting = [requests.add("a", 1, Infinity), requests.add("b", 2, 5)];
    requests.failAll(new Error("over"));
    for (const each of waiting) await expect(each).rejects.toThrow("over");
    expect(requests.nextDeadline).toBe(Infinity);
  });
});
