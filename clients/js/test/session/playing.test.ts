// Joining and playing against a real server.

import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { connect, InputError, listRooms, RequestFailedError, RequestTimeoutError } from "../../src/index.js";
import { Players, payloads, recorded } from "./players.js";
import { GameServer, whyNoServer } from "./server.js";
import { pause, until } from "./support.js";

describe.skipIf(whyNoServer)(`playing${whyNoServer && `: ${whyNoServer}`}`, () => {
  const server = new GameServer(["Lab", "Single", "Board", "arena"]);
  const players = new Players();
  beforeAll(() => server.start().then(() => {}), 30_000);
  afterAll(() => server.stop());
  afterEach(() => players.leave());

  it("joins, and the world is that of the server", async () => {
    const { session } = await players.connect(server.url("arena"), { name: "Ada" });
    expect([session.joined, session.connected, session.closed, session.tickRate]).toEqual([true, true, false, 20]);
    const ship = [...session.world.table("Ship")].find((row) => row.mine);
    expect(ship?.name).toBe("Ada");
    expect(session.state?.round).toBe(1);
    expect(session.world.table("Asteroid").size).toBeGreaterThan(10);
    for (let tick = 0; tick < 45; tick++) {
      await session.nextFrame();
      session.sendInput({ thrust: true, shoot: true, turn: 0.3 });
    }
    const { stats } = session;
    expect(stats.hashesChecked).toBeGreaterThan(0);
    expect([stats.desyncs, stats.framesSkipped]).toEqual([0, 0]);
    expect(stats.inputsApplied).toBeGreaterThan(30);
    expect(stats.rtt).toBeLessThan(0.5);
    expect(stats.frameAge).toBeLessThan(0.5);
    expect(stats.bytesIn).toBeGreaterThan(1000);
  });

  it("does not miss what the room says first", async () => {
    const session = await connect(server.url("lab"), players.seen({ name: "Ada" }));
    players.sessions.push(session);
    const said: unknown[] = [];
    session.onMessage("welcome", (payload, kind) => said.push([payload, kind]));
    await until("the room's first message", () => said.length > 0, 1);
    expect(said).toEqual([["Ada", "welcome"]]);
  });

  it("tells everything in order to who listens from the beginning", async () => {
    const { session } = players.open(server.url("lab"), { name: "Ada", method: "create" });
    const events = recorded(session);
    const spawned: string[] = [];
    session.onSpawned("Dot", (dot) => spawned.push(dot.name));
    expect([session.joined, session.tick, session.state, session.send("note", 1)]).toEqual([false, 0, null, false]);
    session.sendInput({ nonsense: 1 });
    await expect(session.request("notes")).rejects.toThrow("not joined yet");
    await until("three events", () => events.length >= 3);
    expect(events.slice(0, 3).map(({ type }) => type)).toEqual(["joined", "message", "frame"]);
    expect(events[2]).toMatchObject({ full: true, tick: (events[0] as { tick: number }).tick });
    expect(spawned).toEqual(["Ada"]);
    session.close();
    expect(events.at(-1)).toEqual({
      type: "disconnected",
      code: 1000,
      reason: "the player left",
      reconnectSeconds: null,
    });
    expect([session.closed, session.joined, session.closeCode]).toEqual([true, false, 1000]);
  });

  it("calls with the rows of others as they come, change and go", async () => {
    const { session } = await players.connect(server.url("lab"), { name: "Ada" });
    const seen: string[] = [];
    session.onSpawned("Dot", (dot) => seen.push(`+${dot.name}`));
    const stop = session.onChanged("Dot", (dot) => seen.push(`~${dot.name}`));
    session.onDespawned(null, (dot) => seen.push(`-${dot.name} ${dot.alive}`));
    expect(seen).toEqual(["+Ada"]);
    const { session: other } = await players.connect(server.url("lab"), { name: "Bob", ...joining(session.roomId) });
    other.sendInput({ right: true });
    await until("Bob moves", () => seen.includes("~Bob"));
    stop();
    other.close();
    await until("Bob goes", () => seen.at(-1) === "-Bob false");
    expect(seen[1]).toBe("+Bob");
    expect(() => session.onSpawned("Dott", () => {})).toThrow("Dot");
  });

  it("knows private fields of its own rows only", async () => {
    const { session } = await players.connect(server.url("lab"), { name: "Ada" });
    const { session: other } = await players.connect(server.url("lab"), { name: "Bob", ...joining(session.roomId) });
    const secrets = new Map([...other.world.table("Dot")].map((dot) => [dot.name, dot.secret]));
    expect(secrets.get("Bob")).toBe(other.player);
    expect(secrets.get("Ada")).toBe(null);
  });

  it("sends one input a tick, merged, and the room does what it says", async () => {
    const { session } = await players.connect(server.url("lab"));
    const dot = [...session.world.table("Dot")][0];
    const { tick } = session;
    const timer = setInterval(() => session.sendInput({ right: true, speed: 2 }), 4);
    await until("the dot has gone", () => dot.x >= 80);
    clearInterval(timer);
    const ticks = session.tick - tick;
    expect(session.stats.inputsSent).toBeLessThanOrEqual(ticks + 4);
    session.flushInput();
    await until("all inputs are applied", () => session.stats.inputsApplied === session.stats.inputsSent);
    expect(await session.request("pushes")).toBe(session.stats.inputsSent);
    expect(() => session.sendInput({ speed: 99 })).toThrow(InputError);
  });

  it("lets a single input leave by itself, and a short key press is not lost", async () => {
    const { session } = await players.connect(server.url("board"));
    session.sendInput({ right: true });
    session.sendInput({ right: true });
    session.sendInput({ right: false });
    await until("both have left", () => session.stats.inputsSent === 2 && session.stats.inputsApplied === 2);
    expect(await session.request("pushes")).toBe(2);
  });

  it("asks and is answered, or refused", async () => {
    const { session } = await players.connect(server.url("lab"));
    expect(
      await Promise.all([session.request("add", { first: 1, second: 2 }), session.request("add", { first: 5 })]),
    ).toEqual([3, 5]);
    const failed = await session.request("fail").catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(RequestFailedError);
    expect(failed).toMatchObject({ code: "not now", reason: "come back tomorrow" });
    await expect(session.request("nothing")).rejects.toMatchObject({ code: "unknown" });
    await expect(session.request("add", { first: "x" })).rejects.toMatchObject({ code: "invalid" });
    const refused = vi.fn();
    session.on("refused", refused);
    await expect(session.request("fail", null, { timeout: 0 })).rejects.toBeInstanceOf(RequestTimeoutError);
    await session.request("notes");
    expect(refused).not.toHaveBeenCalled(); // the late answer is known for one
    await expect(session.request("notes", "x".repeat(5000))).rejects.toThrow("the server takes 4096");
  });

  it("hears which messages the room does not take", async () => {
    const { session } = await players.connect(server.url("lab"));
    const events = recorded(session);
    expect(session.send("note", 1)).toBe(true);
    expect(session.send("nonsense", 1)).toBe(true);
    await until("the refusal", () => events.some(({ type }) => type === "refused"));
    expect(events.find(({ type }) => type === "refused")).toMatchObject({
      kind: "nonsense",
      number: 2,
      code: "unknown",
    });
    expect(payloads(events, "noted")).toEqual([1]);
    expect(() => session.send("note", Symbol("x"))).toThrow();
    expect(() => session.send("note", "x".repeat(5000))).toThrow("the server takes 4096");
  });

  it("gives events to loops, and frames to who waits for one", async () => {
    const { session } = await players.connect(server.url("lab"));
    const found: string[] = [];
    const loop = (async () => {
      for await (const event of session.events()) if (event.type !== "frame") found.push(event.type);
    })();
    const { tick } = await session.nextFrame();
    expect(tick).toBe(session.tick);
    session.send("note", 7);
    await session.request("notes");
    session.close();
    await loop;
    expect(found.slice(-2)).toEqual(["message", "disconnected"]);
    await expect(session.nextFrame()).rejects.toMatchObject({ code: 1000 });
    await expect(session.request("notes")).rejects.toMatchObject({ code: 1000 });
    for await (const event of session.events()) expect(event.type).toBe("disconnected");
  });

  it("shows tools every byte", async () => {
    const { session } = players.open(server.url("lab"));
    let [bytesIn, bytesOut] = [0, 0];
    const stop = session.observe((direction, bytes, seconds) => {
      expect(seconds).toBeGreaterThan(0);
      if (direction === "in") bytesIn += bytes.length;
      else bytesOut += bytes.length;
    });
    await until("a few frames", () => session.stats.frames > 3);
    expect([bytesIn, bytesOut]).toEqual([session.stats.bytesIn, session.stats.bytesOut]);
    stop();
    await session.nextFrame();
    expect(bytesIn).toBeLessThan(session.stats.bytesIn);
  });

  it("survives callbacks that throw", async () => {
    const reported = vi.spyOn(console, "error").mockImplementation(() => {});
    const { session } = players.open(server.url("lab"));
    session.onSpawned("Dot", () => {
      throw new Error("oops");
    });
    session.onChanged("Nothing", () => {});
    session.on("frame", () => {
      throw new Error("oops");
    });
    const frames = vi.fn();
    session.on("frame", frames);
    await until("a few frames", () => session.stats.frames > 3);
    expect(frames.mock.calls.length).toBe(session.stats.frames);
    expect(String(reported.mock.calls.flat())).toContain("Nothing");
    reported.mockRestore();
  });

  it.each(["joined", "frame", "message"] as const)("may be closed by who hears of %s", async (type) => {
    const { session } = players.open(server.url("lab"), { method: "create" });
    const events = recorded(session);
    session.on(type, () => session.close(4321, "enough \u{1F680}"));
    await until("the end", () => session.closed);
    await pause(0.1);
    expect(events.filter((event) => event.type === "disconnected")).toHaveLength(1);
    expect(events.at(-1)).toMatchObject({ type: "disconnected", code: 4321 });
  });

  it("keeps the pace of a server that waits for acknowledgements", async () => {
    const { session } = await players.connect(server.url("lab"));
    const { frames } = session.stats;
    await until("far more frames than are sent unanswered", () => session.stats.frames > frames + 40);
  });

  it("plays in a room without a tick rate, where silence means nothing", async () => {
    const { session } = await players.connect(server.url("board"));
    expect(session.tickRate).toBe(0);
    await pause(1);
    const { tick } = session;
    session.send("note", 1);
    await until("a tick", () => session.tick > tick);
    expect(session.state?.heard).toBe(1);
  });

  it("watches", async () => {
    const { session } = await players.connect(server.url("lab"), { name: "Ada", method: "create" });
    const { session: guest } = await players.connect(server.url("lab"), { spectate: true, ...joining(session.roomId) });
    expect(guest.spectator).toBe(true);
    expect([...guest.world.table("Dot")].map((dot) => dot.mine)).toEqual([false]);
    expect(() => guest.sendInput({ right: true })).toThrow(InputError);
    await expect(guest.request("notes")).rejects.toMatchObject({ code: "spectator" });
  });

  it("is told why it may not join", async () => {
    const failed = (room: string, options = {}) =>
      connect(server.url(room), players.seen(options)).then(
        () => 0,
        (error) => error.code,
      );
    const { session } = await players.connect(server.url("lab"), { method: "create", password: "x" });
    const { session: locked } = await players.connect(server.url("lab"), {
      method: "create",
      options: { locked: true },
    });
    const { session: single } = await players.connect(server.url("single"));
    expect(await failed("lab", { method: "join_by_id", roomId: "999999" })).toBe(4004);
    expect(await failed("lab", { method: "join_by_id", roomId: session.roomId, password: "y" })).toBe(4012);
    expect(await failed("lab", { method: "join_by_id", roomId: locked.roomId })).toBe(4011);
    expect(await failed("single", { method: "join_by_id", roomId: single.roomId })).toBe(4010);
    expect(await failed("lab", { filter: { nothing: 1 } })).toBe(4015);
    expect(await failed("lab", { seat: "x".repeat(32) })).toBe(4013);
    expect(await failed("nowhere")).toBe(1006);
    expect(await failed("lab", { method: "join_by_id", roomId: session.roomId, password: "x" })).toBe(0);
  });

  it("says what is wrong with the address, the class or the network", async () => {
    await expect(connect("arena")).rejects.toThrow("write ws:");
    await expect(connect(server.url("lab"))).rejects.toThrow("webSocket");
    const nobody = connect("ws://127.0.0.1:9/lab", players.seen());
    await expect(nobody).rejects.toMatchObject({ code: 1006, reason: "no connection to ws://127.0.0.1:9/lab" });
  });

  it("gives up joining when it is told to", async () => {
    const reason = new Error("no time");
    await expect(connect(server.url("lab"), { ...players.seen(), signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
    const control = new AbortController();
    const joining = connect(server.url("lab"), { ...players.seen(), signal: control.signal });
    control.abort(reason);
    await expect(joining).rejects.toBe(reason);
  });

  it("lists rooms", async () => {
    const { session } = await players.connect(server.url("lab"), {
      method: "create",
      filter: { mode: "duel", level: 5 },
    });
    const found = await listRooms(server.url(""), {
      room: "lab",
      filter: { mode: "duel", level: { ge: 3, in: [5, 6] } },
    });
    expect(found).toEqual([
      {
        room: "lab",
        roomId: session.roomId,
        players: 1,
        maxPlayers: null,
        spectators: 0,
        locked: false,
        hasPassword: false,
        metadata: { mode: "duel", level: 5 },
      },
    ]);
    await expect(listRooms(server.url(""), { room: "lab", filter: { nothing: 1 } })).rejects.toMatchObject({
      code: 4015,
    });
    await expect(listRooms("ws://127.0.0.1:9")).rejects.toMatchObject({ code: 1006 });
  });
});

function joining(roomId: string): { method: "join_by_id"; roomId: string } {
  return { method: "join_by_id", roomId };
}
