// What a session does when its server, or its own program, does something unusual at an awkward moment.

import { afterEach, describe, expect, it, vi } from "vitest";
import type { SessionOptions } from "../../src/index.js";
import { recorded } from "./players.js";
import { dots, gone, Scripted, WELCOME } from "./scripted.js";

const all: Scripted[] = [];
function scripted(options: SessionOptions = {}): Scripted {
  const made = new Scripted(options);
  all.push(made);
  return made;
}
afterEach(() => {
  for (const { session } of all.splice(0)) session.close();
});

describe("callbacks that act", () => {
  it("hear of each row once when they begin to wait for rows in the event that says so", () => {
    const { session, socket } = scripted();
    const seen: number[] = [];
    session.on("joined", () => session.onSpawned("Dot", ({ id }) => seen.push(id)));
    socket.accept();
    socket.say(2, { ...WELCOME });
    socket.frame(10, 0, [dots([1, 1], 7)]);
    expect(seen).toEqual([1, 2]);
    socket.frame(11, 1, [dots([3], 7)]);
    expect(seen).toEqual([1, 2, 3]);
  });

  it("hear of each row once when they begin to wait for rows while others go", () => {
    const { session, socket } = scripted().join();
    socket.frame(11, 1, [dots([1], 7)]);
    const seen: number[] = [];
    session.onDespawned("Dot", () => session.onSpawned(null, ({ id }) => seen.push(id)));
    socket.frame(12, 1, [gone([1]), dots([2], 7)]);
    expect(seen).toEqual([2]);
  });

  it.each(["onSpawned", "onChanged", "onDespawned"] as const)("hear nothing behind the end that %s made", (which) => {
    const { session, socket } = scripted().join();
    socket.frame(11, 1, which === "onSpawned" ? [] : [dots([1, 1], 7)]);
    const told: unknown[] = [];
    session[which](null, () => session.close());
    session[which](null, ({ id }) => told.push(id));
    session.on("frame", () => told.push("frame"));
    session.on("disconnected", () => told.push("disconnected"));
    socket.frame(12, 1, which === "onDespawned" ? [gone([1, 1])] : [dots([1, 1], 8)]);
    expect(told).toEqual(["disconnected"]);
  });

  it("may close the session as observers, which is over then", () => {
    const { session, socket } = scripted();
    const events = recorded(session);
    socket.accept();
    socket.say(2, { ...WELCOME });
    session.observe((direction) => direction === "in" && session.close());
    socket.frame(10, 0, [dots([1], 7)]);
    expect(events.map(({ type }) => type)).toEqual(["disconnected"]);
    expect([session.joined, session.closed, session.connected, session.tick]).toEqual([false, true, false, 0]);
  });
});

describe("an end before the first frame", () => {
  it("does not swallow what the room said", () => {
    const { session, socket } = scripted();
    const events = recorded(session);
    socket.accept();
    socket.say(2, { ...WELCOME });
    socket.say(5, "sorry", "not today");
    socket.end(1008, "kicked");
    expect(events.map(({ type }) => type)).toEqual(["message", "disconnected"]);
    expect(events[0]).toMatchObject({ kind: "sorry", payload: "not today" });
  });

  it("comes once, also when who hears of it closes the session", () => {
    const { session, socket } = scripted();
    const events = recorded(session);
    session.onMessage("sorry", () => session.close());
    socket.accept();
    socket.say(2, { ...WELCOME });
    socket.say(5, "sorry", 1);
    socket.say(5, "sorry", 2);
    socket.end(1008, "kicked");
    expect(events.filter(({ type }) => type === "disconnected")).toMatchObject([{ code: 1008 }]);
    expect(events.at(-1)?.type).toBe("disconnected");
  });

  it("says how long it took, and nothing of a seat that nobody had", () => {
    const player = scripted({ joinSeconds: 3.3 });
    player.socket.accept();
    player.socket.say(2, { ...WELCOME });
    player.now += 3.4;
    player.socket.say(99);
    expect(player.session.closeReason).toBe("not joined within 3.3 s");
  });
});

describe("a connection that is lost again while the player comes back", () => {
  it("still waits for the full frame that it has asked for", () => {
    const player = scripted().join();
    player.socket.frame(12, 1); // from a tick that is not held
    expect(player.socket.ofKind(7)).toHaveLength(1);
    player.breakConnection();
    expect(hello(player)).toMatchObject({ seat: "first token" });
    expect(hello(player)).not.toHaveProperty("tick"); // none to go on from
    player.giveBack();
    player.breakConnection();
    expect(hello(player)).toMatchObject({ seat: "next token" });
    expect(hello(player)).not.toHaveProperty("tick");
    player.giveBack();
    player.socket.frame(30);
    expect(player.socket.ofKind(7)).toEqual([]);
    player.socket.frame(33, 1); // and can ask again
    expect(player.socket.ofKind(7)).toHaveLength(1);
    player.breakConnection();
    player.giveBack();
    player.socket.frame(40);
    player.breakConnection();
    expect(hello(player)).toMatchObject({ tick: 40 });
  });

  it("sends once more what was sent again and may not have come", () => {
    const player = scripted().join();
    player.session.send("a", 1);
    for (let time = 0; time < 3; time++) {
      player.breakConnection();
      player.session.send("b", time);
      player.giveBack();
      const numbers = player.socket.ofKind(5).map((items) => items[3]);
      expect(numbers).toEqual(Array.from({ length: 2 + time }, (_, index) => index + 1));
    }
  });

  it("takes no frame before RETURNED", () => {
    const player = scripted().join();
    player.breakConnection();
    player.socket.frame(11, 1);
    expect(player.session.closeCode).toBe(1002);
    expect(player.socket.closedWith?.[0]).toBe(1000);
  });
});

describe("what a server says", () => {
  const malformed: [string, unknown[]][] = [
    ["a second welcome", [2, WELCOME]],
    ["RETURNED that nobody has asked for", [10, { player: 3, tick: 11, seat: "x" }]],
    ["a message without a payload", [5, "chat"]],
    ["a message whose name is no text", [5, 7, null]],
    ["a reply of three items", [9, 1, null]],
    ["a reply whose code is a number", [9, 1, 7, null]],
    ["a reply whose number is negative", [9, -1, null, null]],
    ["a frame without a hash", [3, [11, 1, 0]]],
    ["a header of two items", [3, [11, 1], null]],
    ["a frame too far back", [3, [11, 65536, 0], null]],
    ["a full frame with a chunk of no table", [3, [11, 0, 0], null, [1, null, null, null]]],
    ["a kind that is a text", ["frame"]],
    ["nothing", []],
  ];
  it.each(malformed)("ends the session when it is %s", (_, items) => {
    const { session, socket } = scripted().join();
    socket.say(...items);
    expect([1002, 1007]).toContain(session.closeCode);
    expect(socket.closedWith?.[0]).toBe(1000); // browsers send no other, and the seat is of no use to this client
  });

  const skipped: [string, unknown[]][] = [
    ["a message of a later version", [99, { any: ["thing"] }]],
    ["a message that only clients send", [4, [1, 2, 3, 4], []]],
    ["a reply that nobody waits for", [9, 77, null, 1, "more"]],
    ["a message with more items", [5, "chat", "hi", 7, 8]],
    [
      "a frame with a longer header and chunks of a later version",
      [3, [11, 1, 0, null, null, null, 4, "x"], null, [-1]],
    ],
    ["a block of a later version", [3, [11, 1, 0], null, [0, null, null, null, [-3, "x"]]]],
  ];
  it.each(skipped)("is skipped when it is %s", (_, items) => {
    const { session, socket } = scripted().join();
    socket.say(...items);
    socket.frame(12, items[0] === 3 ? 1 : 2);
    expect([session.closed, session.tick, session.stats.framesSkipped]).toEqual([false, 12, 0]);
  });

  it.each([
    [{ player: 4 }, 1002],
    [{ player: 0 }, 1007],
    [{ seat: null }, 1007],
    [{ messages: -1 }, 1007],
  ])("gives no seat back with %o", (wrong, code) => {
    const player = scripted().join();
    player.breakConnection();
    player.socket.say(10, { player: 3, tick: 20, seat: "x", seat_seconds: 30, ...wrong });
    expect(player.session.closeCode).toBe(code);
  });
});

describe("a column without rows", () => {
  it("may be any integer, for it means nothing", () => {
    const { session, socket } = scripted().join();
    socket.frame(11, 1, [[0, null, null, null, [[new Uint8Array()], 0, 300]]]);
    socket.frame(12, 1, [dots([], -1)]);
    expect([session.stats.framesSkipped, session.tick]).toEqual([0, 12]);
    socket.frame(13, 1, [dots([1], 300)]);
    expect([session.stats.framesSkipped, session.tick]).toEqual([1, 12]);
  });
});

describe("acknowledgements", () => {
  it("are few for many frames that come together", () => {
    const player = scripted().join({ spectator: true, delay_seconds: 5 });
    player.now += 20;
    for (let tick = 11; tick <= 410; tick++) {
      player.now += 0.0001;
      player.socket.frame(tick, 1);
    }
    expect(player.socket.ofKind(6).length).toBeLessThan(5);
    player.now += 0.05;
    player.session.flushInput();
    player.socket.say(99); // any sign of life
    expect(player.socket.ofKind(6).at(-1)?.[1]).toBe(410);
  });

  it("answer each frame that comes in its time at once", () => {
    const player = scripted().join();
    for (let tick = 11; tick <= 30; tick++) {
      player.now += tick % 2 ? 0.03 : 0.07;
      player.socket.frame(tick, 1);
    }
    expect(player.socket.ofKind(6)).toHaveLength(21);
  });
});

describe("the one timer", () => {
  const states: [string, (player: Scripted) => void][] = [
    ["connecting", () => {}],
    ["joining", ({ socket }) => socket.accept()],
    ["playing", (player) => player.join()],
    ["playing, with a request", (player) => void player.join().session.request("a").catch(String)],
    ["waiting to come back", (player) => player.join().socket.end()],
    ["coming back", (player) => player.join().breakConnection()],
    ["back, with much to say again", (player) => sayMuch(player.join())],
  ];

  it.each(states)("ends with a session that was %s", (_, reach) => {
    vi.useFakeTimers();
    try {
      const player = new Scripted();
      reach(player);
      expect(vi.getTimerCount()).toBe(1);
      player.session.close();
      expect(vi.getTimerCount()).toBe(0);
      player.socket.end(1000);
      player.session.sendInput({});
      expect([player.session.closeCode, vi.getTimerCount()]).toEqual([1000, 0]);
    } finally {
      vi.useRealTimers();
    }
  });

  it("rings after an hour of sleep, which proves nothing, and nothing floods then", () => {
    vi.useFakeTimers();
    try {
      const player = scripted().join();
      player.session.sendInput({ right: true });
      const { sent } = player.socket;
      const before = sent.length;
      player.now += 3600;
      vi.advanceTimersToNextTimer();
      expect(player.session.connected).toBe(true);
      for (let time = 0; time < 100; time++) player.session.sendInput({ right: true });
      for (let tick = 11; tick < 31; tick++) player.socket.frame(tick, 1);
      expect(sent.length - before).toBeLessThan(4);
      for (let second = 0; second < 5; second++) {
        player.now += 1;
        vi.advanceTimersByTime(1000);
      }
      expect([player.session.reconnecting, sent === player.socket.sent]).toEqual([true, false]);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("an end without a code", () => {
  it.each([0, Number.NaN])("is one all the same (%f)", (code) => {
    const { session } = scripted().join();
    const events = recorded(session);
    session.close(code);
    session.close();
    expect([session.closed, events.length]).toEqual([true, 1]);
  });
});

/** Breaks the connection and says more than may be sent again at once. */
function sayMuch(player: Scripted): void {
  player.breakConnection();
  for (let number = 0; number < 20; number++) player.session.send("a", "x".repeat(2000));
  player.giveBack();
}

function hello({ socket }: Scripted): unknown {
  return socket.sent[0][1];
}
