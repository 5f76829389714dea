// A real game server, as a process of its own, for the tests of the session.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const PYTHON = process.env.TICKWIRE_PYTHON ?? join(HERE, "..", "..", "..", "..", ".venv", "bin", "python");
const START_SECONDS = 20;

/** Why these tests cannot run; "" when they can. */
export const whyNoServer = existsSync(PYTHON)
  ? ""
  : `there is no ${PYTHON}: say in TICKWIRE_PYTHON which Python has the server`;

if (whyNoServer) console.warn(`Tests against a real server are skipped: ${whyNoServer}`);

/** `python -m gameserver run` with rooms of `rooms.py`. */
export class GameServer {
  port = 0;
  #process: ChildProcess | null = null;

  /** @param rooms names of classes in rooms.py; "arena" is the bundled game */
  constructor(
    readonly rooms: readonly string[],
    readonly flags: readonly string[] = [],
  ) {}

  /** The address of a room. */
  url(room: string): string {
    return `ws://127.0.0.1:${this.port}/${room}`;
  }

  /** Starts it, on the same port as before if it was started already. */
  async start(): Promise<this> {
    const rooms = this.rooms.map((room) => (room === "arena" ? "gameserver.demo.arena:Arena" : `rooms:${room}`));
    const given = ["-m", "gameserver", "run", "--port", String(this.port), "--log-level", "warning"];
    const started = spawn(PYTHON, [...given, ...this.flags, ...rooms], {
      cwd: HERE,
      env: { ...process.env, PYTHONPATH: HERE, PYTHONDONTWRITEBYTECODE: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = started;
    let said = "";
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no server within ${START_SECONDS} s:\n${said}`)),
        START_SECONDS * 1000,
      );
      const hear = (text: Buffer) => {
        said += text;
        const port = /ws:\/\/127\.0\.0\.1:(\d+)\//.exec(said)?.[1];
        if (!port) return;
        this.port = Number(port);
        clearTimeout(timer);
        resolve();
      };
      started.stdout?.on("data", hear);
      started.stderr?.on("data", hear);
      started.once("exit", (code) => reject(new Error(`the server ended with ${code}:\n${said}`)));
    });
    return this;
  }

  /** Ends it as an operator does, or with "SIGKILL" as a power cut. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const process = this.#process;
    this.#process = null;
    if (!process || process.exitCode !== null || process.signalCode !== null) return;
    const ended = new Promise((resolve) => process.once("exit", resolve));
    process.kill(signal);
    await ended;
  }
}
