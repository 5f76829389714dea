// Addresses, the hello, round trips, the kept seat, streams of events, callbacks.

import { describe, expect, it, vi } from "vitest";
import { Callbacks, EVENTS_KEPT } from "../../src/callbacks.js";
import { disconnectedEvent, frameEvent, type SessionEvent } from "../../src/events.js";
import { makeHello, returnHello } from "../../src/hello.js";
import { type KeptSeat, SeatKeeper, type SeatStorage } from "../../src/keeping.js";
import { httpAddress, socketAddress } from "../../src/target.js";
import { clockValue, RoundTrip } from "../../src/timing.js";
import type { FrameHeader } from "../../src/wire/frame.js";
import { memoryStorage, pause } from "./support.js";

describe("addresses", () => {
  it.each([
    ["ws://a:1/arena", undefined, "ws://a:1/arena"],
    ["wss://a/arena?x=1#top", undefined, "wss://a/arena?x=1"],
    ["http://a:1/arena", undefined, "ws://a:1/arena"],
    ["https://a/arena", undefined, "wss://a/arena"],
    ["/arena", "http://b:8765/arena/index.html?overlay", "ws://b:8765/arena"],
    ["/arena", "https://b/", "wss://b/arena"],
    ["..", "https://b/arena/", "wss://b/"],
    ["ws://[::1]:8/a", undefined, "ws://[::1]:8/a"],
    ["ws://http.example:1/http", undefined, "ws://http.example:1/http"],
    ["https://http.example/http?a=http", undefined, "wss://http.example/http?a=http"],
  ])("%s seen from %s is %s", (target, page, address) => expect(socketAddress(target, page)).toBe(address));

  it.each([["/arena"], ["localhost:8765/arena"], ["ftp://a/b"], ["ws://"], [""]])("%o is none", (target) => {
    expect(() => socketAddress(target)).toThrow(/is no address: write ws:/);
  });

  it("lists rooms at the root of the same server", () => {
    expect(httpAddress("wss://a:1/arena", "/rooms").href).toBe("https://a:1/rooms");
    expect(httpAddress("ws://a/arena", "/rooms").href).toBe("http://a/rooms");
  });
});

describe("the hello", () => {
  it("of a return says which seat, and nothing of how to find a room", () => {
    const hello = returnHello(makeHello({ name: "Ada", method: "create", password: "x" }), "token", 5, 2);
    expect(hello).toMatchObject({ name: "Ada", seat: "token", tick: 5, messages: 2 });
    expect(hello).not.toHaveProperty("method");
    expect(hello).not.toHaveProperty("password");
  });
});

describe("round trips", () => {
  const header = (clientTime: number | null, waitedUs = 0, marginMs: number | null = null) =>
    ({ clientTime, waitedUs, marginMs }) as FrameHeader;

  it("are what is left when the server's wait is taken off", () => {
    const trip = new RoundTrip();
    trip.note(header(clockValue(1), 20_000, -5), 1.1);
    expect([trip.smoothed, trip.margin]).toEqual([expect.closeTo(0.08), -0.005]);
    trip.note(header(clockValue(2)), 2.02);
    expect(trip.smoothed).toBeCloseTo(0.075);
    expect(trip.shortest).toBeCloseTo(0.02);
    trip.note(header(null), 3);
    expect(trip.shortest).toBeCloseTo(0.02);
  });

  it("survive a clock value that wraps around, and one that makes no sense", () => {
    const trip = new RoundTrip();
    const wrap = 2 ** 32 / 1e6;
    trip.note(header(clockValue(wrap - 0.01)), wrap + 0.01);
    expect(trip.smoothed).toBeCloseTo(0.02, 4);
    trip.note(header(clockValue(5)), 4);
    expect(trip.smoothed).toBeCloseTo(0.02, 4);
  });
});

describe("a kept seat", () => {
  const seat: KeptSeat = [Uint8Array.from([0, 34, 92, 128, 255]), "token", 3];

  it("is taken once, by who asks for the same room", () => {
    const storage = memoryStorage();
    new SeatKeeper(storage, "a", "wish").put(seat);
    expect(new SeatKeeper(storage, "b", "wish").take()).toBe(null);
    expect(new SeatKeeper(storage, "a", "wish").take()).toEqual(seat);
    expect(new SeatKeeper(storage, "a", "wish").take()).toBe(null);
    new SeatKeeper(storage, "a", "wish").put(seat);
    expect(new SeatKeeper(storage, "a", "another wish").take()).toBe(null);
  });

  it("is not kept by a storage that refuses, or without a key", () => {
    const refuse = () => {
      throw new Error("no");
    };
    const refusing: SeatStorage = { getItem: refuse, setItem: refuse, removeItem: refuse };
    for (const keeper of [new SeatKeeper(refusing, "a", ""), new SeatKeeper(memoryStorage(), undefined, "")]) {
      keeper.put(seat);
      expect(keeper.take()).toBe(null);
    }
    const spoiled = memoryStorage();
    spoiled.setItem("tickwire a", "{");
    expect(new SeatKeeper(spoiled, "a", "").take()).toBe(null);
  });
});

/** A session that has nothing but callbacks. */
class Teller extends Callbacks {
  tell(event: SessionEvent): void {
    if (event.type === "disconnected") this.closeCode = event.code;
    this.emit(event);
  }
}

describe("streams of events", () => {
  const message = (payload: number): SessionEvent => ({ type: "message", kind: "a", payload });
  const over = disconnectedEvent(1012, "reconnect in 2 s");

  it("give what waits, then what comes, and end", async () => {
    const teller = new Teller();
    const stream = teller.events();
    teller.tell(message(1));
    const found: unknown[] = [];
    const loop = (async () => {
      for await (const event of stream) found.push(event);
    })();
    await pause(0);
    expect(found).toEqual([message(1)]);
    teller.tell(message(2));
    teller.tell(over);
    teller.tell(message(3));
    await loop;
    expect(found).toEqual([message(1), message(2), over]);
    expect(over.reconnectSeconds).toBe(2);
    expect((await teller.events().next()).value).toMatchObject({ type: "disconnected", code: 1012 });
  });

  it("are left by who breaks out of the loop", async () => {
    const teller = new Teller();
    const stream = teller.events();
    teller.tell(message(1));
    for await (const _ of stream) break;
    teller.tell(message(2));
    expect((await stream.next()).done).toBe(true);
  });

  it("drop the oldest frames when nobody reads, and no message before", async () => {
    const teller = new Teller();
    const stream = teller.events();
    teller.tell(message(0));
    for (let tick = 0; tick < 2 * EVENTS_KEPT; tick++) teller.tell(frameEvent(tick, false, []));
    expect((await stream.next()).value).toEqual(message(0));
    expect((await stream.next()).value).toMatchObject({ type: "frame", tick: EVENTS_KEPT + 1 });
  });
});

describe("callbacks", () => {
  it("go on when one throws, and it is reported", () => {
    const reported = vi.spyOn(console, "error").mockImplementation(() => {});
    const listeners = new Teller();
    const called: string[] = [];
    listeners.on("message", () => {
      throw new Error("oops");
    });
    listeners.on("message", () => called.push("event"));
    listeners.onMessage("chat", (payload, kind) => called.push(`${kind} ${payload}`));
    listeners.onMessage("other", () => called.push("other"));
    listeners.tell({ type: "message", kind: "chat", payload: "hi" });
    expect(called).toEqual(["chat hi", "event"]);
    expect(reported).toHaveBeenCalledOnce();
    reported.mockRestore();
  });

  it("may end and register others meanwhile", () => {
    const listeners = new Teller();
    const called: string[] = [];
    const stop = listeners.on("joined", () => {
      called.push("first");
      stop();
      listeners.on("joined", () => called.push("later"));
    });
    listeners.on("joined", () => called.push("second"));
    const joined: SessionEvent = { type: "joined", player: 1, room: "a", roomId: "1", tick: 1 };
    listeners.tell(joined);
    listeners.tell(joined);
    expect(called).toEqual(["first", "second", "second", "later"]);
  });

  it("of a frame come in order: despawned, spawned, changed, then the frame", () => {
    const listeners = new Teller();
    const called: string[] = [];
    listeners.on("frame", () => called.push("frame"));
    listeners.onChanged("Ship", () => called.push("changed"));
    listeners.onSpawned("Ship", () => called.push("spawned"));
    listeners.onDespawned("Ship", () => called.push("despawned"));
    const change = { table: { name: "Ship" }, spawned: [1], changed: [2], despawned: [3, 4] };
    const other = { table: { name: "Rock" }, spawned: [1], changed: [2], despawned: [3] };
    listeners.tell(frameEvent(1, false, [other, change] as never));
    expect(called).toEqual(["despawned", "despawned", "spawned", "changed", "frame"]);
  });
});
