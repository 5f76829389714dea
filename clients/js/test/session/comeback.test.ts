// Lost connections, restarted servers, reloaded pages and hidden tabs, against a real server.

import { decode, encode } from "@msgpack/msgpack";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { connect, type Session } from "../../src/index.js";
import { Players, payloads, recorded, type SeenSocket } from "./players.js";
import { GameServer, whyNoServer } from "./server.js";
import { FakePage, memoryStorage, pause, until } from "./support.js";

describe.skipIf(whyNoServer).concurrent(`coming back${whyNoServer && `: ${whyNoServer}`}`, () => {
  const server = new GameServer(["Lab", "Single"], ["--connects-per-second-per-address", "1000"]);
  const players = new Players();
  beforeAll(() => server.start().then(() => {}), 30_000);
  afterAll(() => {
    players.leave();
    return server.stop();
  });
  vi.setConfig({ testTimeout: 20_000 });

  /** Plays alone in a room of its own. */
  const alone = (options = {}, room = "lab") => players.connect(server.url(room), { method: "create", ...options });

  /** Sees that the replica is the server's: by the hashes that the server sends about once a second. */
  async function inStep(session: Session): Promise<void> {
    const { hashesChecked } = session.stats;
    await until("a hash", () => session.stats.hashesChecked > hashesChecked, 3);
    expect([session.stats.desyncs, session.stats.framesSkipped]).toEqual([0, 0]);
  }

  it("comes back when the connection breaks, with the same world", async () => {
    const { session, sockets } = await alone();
    const events = recorded(session);
    const dot = [...session.world.table("Dot")][0];
    const { player, tick } = session;
    sockets[0].cut();
    await until("it is noticed", () => session.reconnecting);
    expect([session.joined, session.connected, session.closed]).toEqual([true, false, false]);
    await until("it is back", () => session.connected && session.tick > tick + 2);
    expect([session.player, dot.alive, dot.mine]).toEqual([player, true, true]);
    const told = events.filter(({ type }) => type !== "frame").slice(-3);
    expect(told.map(({ type }) => type)).toEqual(["dropped", "returned", "message"]);
    expect(told[0]).toMatchObject({ code: 1006, secondsLeft: 4 });
    expect(events.some((event) => event.type === "frame" && event.full)).toBe(false);
    expect(session.stats.returns).toBe(1);
    expect(session.stats.droppedSeconds).toBeGreaterThan(0);
    await inStep(session);
  });

  it("loses and doubles no message, request or input, however often the connection breaks", async () => {
    const { session, sockets } = await alone();
    const events = recorded(session);
    const dot = [...session.world.table("Dot")][0];
    const answers: Promise<unknown>[] = [];
    let said = 0;
    for (let round = 0; round < 5; round++) {
      for (let step = 0; step < 8; step++) {
        expect(session.send("note", ++said)).toBe(true);
        answers.push(session.request("add", { first: said, second: 1000 }));
        session.sendInput({ right: true, speed: 1 });
        await pause(0.004 * step);
        if (step === 3) sockets.at(-1)?.cut();
      }
      await until("it is back", () => session.connected && session.stats.returns === round + 1);
    }
    session.sendInput({ right: true, speed: 1 });
    expect(await Promise.all(answers)).toEqual(answers.map((_, index) => index + 1001));
    const wanted = answers.map((_, index) => index + 1);
    expect(await session.request("notes")).toEqual(wanted);
    await until("all notes were taken", () => payloads(events, "noted").length >= wanted.length);
    expect(payloads(events, "noted")).toEqual(wanted);
    await until("inputs are applied", () => session.stats.inputsApplied === session.stats.inputsSent);
    expect(await session.request("pushes")).toBe(session.stats.inputsSent);
    expect(dot.x).toBe(session.stats.inputsSent);
    await inStep(session);
  });

  it("keeps what is said while it is away", async () => {
    const { session, sockets } = await alone({ chance: () => 0.99 });
    const events = recorded(session);
    sockets[0].cut();
    await until("it is noticed", () => session.reconnecting);
    expect(session.send("note", 1)).toBe(true);
    const answer = session.request("add", { first: 3 });
    session.sendInput({ right: true });
    session.sendInput({ right: false });
    expect(session.flushInput()).toBe(false);
    const text = "x".repeat(3000);
    let kept = 0;
    while (session.send("note", text)) kept++;
    expect(kept).toBe(21); // 64 KiB
    expect(await answer).toBe(3);
    await until("the merged input is applied", () => session.stats.inputsApplied === 1);
    expect(payloads(events, "missed")).toHaveLength(1);
    expect(await session.request("pushes", null, { timeout: 15 })).toBe(1);
  });

  it("spreads over seconds what is to be sent again", async () => {
    const { session, sockets } = await alone({ chance: () => 0.99 });
    sockets[0].cut();
    await until("it is noticed", () => session.reconnecting);
    for (let number = 1; number <= 60; number++) expect(session.send("note", number)).toBe(true);
    await until("it is back", () => session.connected);
    const { bytesOut } = session.stats;
    await pause(0.1);
    expect(session.stats.bytesOut - bytesOut).toBeLessThan(2500);
    await until("all have come", () => session.state?.heard === 60);
    expect(((await session.request("notes")) as number[]).at(-1)).toBe(60);
  });

  it("takes a connection on which nothing comes for dead", async () => {
    const { session, sockets } = await alone();
    const events = recorded(session);
    sockets[0].pause();
    await until("it gives up", () => events.some(({ type }) => type === "dropped"), 6);
    expect(events.find(({ type }) => type === "dropped")).toMatchObject({ code: 1006, reason: "nothing came for 3 s" });
    await until("it is back", () => session.connected);
    sockets[0].cut();
  });

  it("is over when the seat is not kept", async () => {
    const { session, sockets } = await alone({}, "single");
    const waiting = session.request("add", { first: 1 }).catch((error: unknown) => error);
    sockets[0].cut();
    await until("the end", () => session.closed);
    expect([session.closeCode, session.joined]).toEqual([1006, false]);
    expect(await waiting).toMatchObject({ code: 1006 });
  });

  it("does not come back when it is told not to, or was sent away", async () => {
    const { session, sockets } = await alone({ reconnect: false });
    sockets[0].cut();
    await until("the end", () => session.closed);
    const { session: kicked } = await alone();
    kicked.send("kick");
    await until("the end", () => kicked.closed);
    expect([kicked.closeCode, kicked.closeReason]).toEqual([1008, "out with you"]);
  });

  it("ends with 4014 when somebody else comes back to its seat, and does not fight for it", async () => {
    const storage = memoryStorage();
    const [page, twin] = [new FakePage(), new FakePage()];
    const { session, sockets } = await alone({ keepSeat: "a", storage, page });
    page.happen("pagehide"); // and yet the page lives on
    const { session: other } = await players.connect(server.url("lab"), {
      method: "create",
      keepSeat: "a",
      storage,
      page: twin,
    });
    expect(other.player).toBe(session.player);
    await until("the end", () => session.closed);
    expect(session.closeCode).toBe(4014);
    page.happen("pagehide");
    expect(storage.size()).toBe(0);
    await pause(0.3);
    expect(sockets).toHaveLength(1);
    expect(other.connected).toBe(true);
  });

  it("asks once for a full frame when the world is not that of the server, and says where", async () => {
    const { session, sockets } = await alone();
    const asked: unknown[][] = [];
    session.observe((direction, bytes) => {
      const items = decode(bytes) as unknown[];
      if (direction === "out" && items[0] === 7) asked.push(items);
    });
    let spoiled = 0;
    sockets[0].spoil = (bytes) => {
      const items = decode(bytes) as unknown[];
      if (items[0] !== 3 || items[2] === null || spoiled++) return bytes;
      items[2] = ((items[2] as number) + 1) >>> 0;
      return encode(items);
    };
    await until("the repair", () => session.stats.desyncs === 1 && spoiled > 1, 5);
    expect(asked).toHaveLength(1);
    const [, tick, expected, found, digests] = asked[0] as [number, number, number, number, Uint8Array[]];
    expect(tick).toBeGreaterThan(0);
    expect(expected).toBe((found + 1) >>> 0);
    expect(digests).toHaveLength(session.schema?.tables.length ?? 0);
    expect(session.stats.framesSkipped).toBe(0);
  });

  it("asks for a full frame when one was lost, and comes back without a baseline until it has it", async () => {
    const { session, sockets } = await alone();
    let dropped = false;
    sockets[0].spoil = (bytes) => {
      if (bytes[1] !== 3 || dropped) return bytes;
      dropped = true;
      return null;
    };
    const full = new Promise((resolve) => session.on("frame", (event) => event.full && resolve(event)));
    await full;
    expect(session.stats.framesSkipped).toBeGreaterThan(0);
    const skipped = session.stats.framesSkipped;
    await pause(0.2);
    expect([session.stats.framesSkipped, session.stats.desyncs]).toEqual([skipped, 0]);
  });

  it.each([
    ["no message", [0xc1]],
    ["a message behind a message", [0x91, 0x63, 0x00]],
    ["a full frame that is malformed", [0x94, 3, 0x93, 9, 0, 0, 0xc0, 0x01]],
    ["a second welcome", null],
  ])("ends, and gives the seat up, when the server sends %s", async (_, bytes) => {
    const { session, sockets } = players.open(server.url("lab"), { method: "create" });
    let welcome = new Uint8Array();
    sockets[0].spoil = (came) => {
      if (came[1] === 2) welcome = came.slice();
      return came[1] === 3 && session.stats.frames > 2 ? (bytes ? Uint8Array.from(bytes) : welcome) : came;
    };
    const left = new Promise((resolve) => sockets[0].addEventListener("close", resolve));
    await until("the end", () => session.closed);
    expect([1002, 1007]).toContain(session.closeCode);
    expect(session.closeReason).not.toBe("");
    expect(await left).toMatchObject({ code: 1000 });
  });

  describe("a page that is loaded again", () => {
    it("comes back to its seat, and goes on counting", async () => {
      const storage = memoryStorage();
      const page = new FakePage();
      const { session, sockets } = await alone({ keepSeat: "a", storage, page });
      session.send("note", 1);
      await session.request("notes");
      session.sendInput({ right: true });
      await until("the input is applied", () => session.stats.inputsApplied === 1);
      expect(storage.size()).toBe(0); // nobody can take a seat that is in use
      page.happen("pagehide");
      sockets[0].cut();
      sockets.dead = true;
      const { session: again } = await alone({ keepSeat: "a", storage, page: new FakePage() });
      const events = recorded(again);
      expect([again.player, again.roomId]).toEqual([session.player, session.roomId]);
      expect(storage.size()).toBe(0);
      again.send("note", 2);
      again.sendInput({ right: true });
      await until("the input is applied", () => again.stats.inputsApplied === 2);
      expect(await again.request("pushes")).toBe(2);
      expect(await again.request("notes")).toEqual([1, 2]);
      expect(payloads(events, "noted")).toEqual([2]);
      expect(payloads(events, "welcome")).toEqual([]);
      await inStep(again);
      session.close();
    });

    it("joins anew when the seat is gone, or another room is asked for", async () => {
      const storage = memoryStorage();
      const page = new FakePage();
      const { session } = await alone({ keepSeat: "a", storage, page });
      page.happen("pagehide");
      session.close();
      await pause(0.1);
      const second = new FakePage();
      const { session: anew, sockets } = await alone({ keepSeat: "a", storage, page: second });
      expect(sockets).toHaveLength(2); // 4013 first
      expect(anew.roomId).not.toBe(session.roomId);
      second.happen("pagehide");
      expect(storage.size()).toBe(1);
      const { session: other, sockets: one } = await alone({ keepSeat: "a", storage, filter: { level: 7 } });
      expect(one).toHaveLength(1);
      expect(other.roomId).not.toBe(anew.roomId);
    });

    it("joins anew when what is in the storage makes no sense", async () => {
      const storage = memoryStorage();
      const page = new FakePage();
      await alone({ keepSeat: "a", storage, page });
      page.happen("pagehide");
      const [wish, , ...rest] = JSON.parse(storage.getItem("tickwire a") ?? "");
      storage.setItem("tickwire a", JSON.stringify([wish, [0x92, 2, 0x80], ...rest]));
      const { session, sockets } = await alone({ keepSeat: "a", storage });
      expect([session.joined, sockets.length]).toEqual([true, 1]);
    });

    it("has no seat to come back to when the player has left", async () => {
      const storage = memoryStorage();
      const page = new FakePage();
      const { session } = await alone({ keepSeat: "a", storage, page });
      session.close();
      page.happen("pagehide");
      expect([storage.size(), page.listeners]).toEqual([0, 0]);
    });

    it("keeps the seat for the next try when there is no network", async () => {
      const storage = memoryStorage();
      const page = new FakePage();
      const { sockets } = await alone({ keepSeat: "a", storage, page });
      page.happen("pagehide");
      sockets[0].cut();
      sockets.dead = true;
      const nowhere = players.seen({ keepSeat: "a", storage, method: "create" });
      const Broken = nowhere.webSocket as new (address: string, protocol: string) => SeenSocket;
      nowhere.webSocket = class extends Broken {
        constructor(_: string, protocol: string) {
          super("ws://127.0.0.1:9/", protocol);
        }
      };
      await expect(connect(server.url("lab"), { ...nowhere, joinSeconds: 0.5 })).rejects.toMatchObject({ code: 1006 });
      expect(storage.size()).toBe(1);
      const { session: back, sockets: one } = await alone({ keepSeat: "a", storage });
      expect([one.length, back.stats.returns]).toEqual([1, 1]);
    });
  });

  describe("a hidden page", () => {
    it("is sent a few frames and then none, and one that makes it current", async () => {
      const page = new FakePage();
      const { session } = await alone({ page });
      let [heard, said] = [0, 0];
      session.observe((direction) => (direction === "in" ? heard++ : said++));
      await session.nextFrame();
      page.show(false);
      const shown = session.stats.frames;
      for (let before = -1; before !== heard; await pause(0.5)) before = heard;
      expect(session.stats.frames - shown).toBeLessThan(20);
      [heard, said] = [0, 0];
      const { tick } = session;
      await pause(4); // longer than silence is borne
      expect(heard).toBe(0);
      expect(said).toBe(0);
      expect([session.connected, session.tick]).toEqual([true, tick]);
      page.show(true);
      const event = await session.nextFrame();
      expect(event.tick).toBeGreaterThan(tick + 40);
      await pause(0.2);
      expect(heard).toBeLessThan(20); // no flood of what was missed
      expect(said).toBeLessThan(20);
      await inStep(session);
    });

    it("says what it is told to say, without asking for frames by it", async () => {
      const page = new FakePage();
      const { session } = await alone({ page });
      await pause(0.3);
      page.show(false);
      await pause(0.3);
      const { frames } = session.stats;
      session.sendInput({ right: true });
      await pause(0.1);
      expect(await session.request("pushes")).toBe(1);
      expect(session.stats.frames - frames).toBeLessThan(3);
      page.show(true);
      await until("it is current", () => [...session.world.table("Dot")][0].x === 1);
    });

    it("goes on when it is told to", async () => {
      const page = new FakePage();
      const { session } = await alone({ page, whenHidden: "play" });
      page.show(false);
      const { frames } = session.stats;
      await until("far more frames than are sent unanswered", () => session.stats.frames > frames + 20);
    });

    it("comes back to its seat all the same", async () => {
      const page = new FakePage();
      const { session, sockets } = await alone({ page });
      page.show(false);
      sockets[0].cut();
      await until("it is back", () => session.stats.returns === 1);
      page.show(true);
      const { tick } = session;
      await until("frames come", () => session.tick > tick + 3);
      await inStep(session);
    });
  });

  describe("a network that comes back", () => {
    it("is tried at once", async () => {
      const page = new FakePage();
      let chance = 0;
      const mortal = await new GameServer(["Patient"]).start();
      const settings = { page, chance: () => chance, joinSeconds: 1 };
      const { session, sockets } = await players.connect(mortal.url("patient"), settings);
      await mortal.stop("SIGKILL");
      chance = 0.999999;
      await until("several attempts have failed", () => sockets.length > 3, 10);
      await until("it waits", () => sockets.at(-1)?.readyState === 3 && session.reconnecting);
      const attempts = sockets.length;
      chance = 0;
      page.happen("online");
      await until("the next attempt", () => sockets.length > attempts, 0.5);
      chance = 0.1;
      await mortal.start();
      await until("the end", () => session.closed, 15);
      expect(session.closeCode).toBe(4013); // it is another server
      await mortal.stop();
    });

    it("shows a connection for dead on which nothing came meanwhile", async () => {
      const page = new FakePage();
      const { session, sockets } = await alone({ page });
      page.happen("online");
      await pause(0.1);
      expect([session.stats.returns, sockets.length]).toEqual([0, 1]); // it lives
      const events = recorded(session);
      sockets[0].pause();
      await pause(0.8);
      page.happen("online");
      await until("it is back", () => session.stats.returns === 1);
      expect(events.find(({ type }) => type === "dropped")).toMatchObject({ reason: "the network has changed" });
      sockets[0].cut();
    });
  });

  it("hears when to come back from a server that restarts", async () => {
    const other = await new GameServer(["Single"], ["--drain-seconds", "0.1"]).start();
    const { session } = await players.connect(other.url("single"));
    const events = recorded(session);
    const stopped = other.stop();
    await until("the end", () => session.closed, 5);
    await stopped;
    expect(session.closeCode).toBe(1012);
    const end = events.at(-1);
    expect(end).toMatchObject({ type: "disconnected", code: 1012 });
    expect(end?.type === "disconnected" && end.reconnectSeconds).toBeGreaterThan(0);
  });
});
