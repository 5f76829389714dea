// How a program gets its session.

import type { SessionOptions } from "./options.js";
import { Session } from "./session.js";
import type { Entities } from "./wire/replica.js";

/** As `SessionOptions`, and a signal that gives up joining; once the player is in the room it means nothing. */
export interface ConnectOptions extends SessionOptions {
  signal?: AbortSignal;
}

/**
 * Joins a room.
 *
 *     const session = await connect("/arena", { name: "Ada" });
 *     session.onSpawned("Ship", (ship) => ...);
 *     session.sendInput({ thrust: true });
 *
 * @param target ws://host:port/room, wss://..., or in a page the path of the room on the page's own server
 * @returns the session, once the player is in the room and the world is filled. A connection that is lost afterwards is
 *   made again by itself if the room keeps the player's seat.
 * @throws ConnectError the player could not join; the text says what the server answered
 * @throws TypeError the target is no address, or what is in the options cannot travel
 */
export async function connect<W extends object = Entities>(
  target: string,
  options: ConnectOptions = {},
): Promise<Session<W>> {
  const { signal, ...rest } = options;
  signal?.throwIfAborted();
  let stop = () => {};
  try {
    return await new Promise<Session<W>>((resolve, reject) => {
      const session = new Session<W>(target, rest, (error) => (error ? reject(error) : resolve(session)));
      const abort = () => {
        reject(signal?.reason);
        session.close();
      };
      signal?.addEventListener("abort", abort);
      stop = () => signal?.removeEventListener("abort", abort);
    });
  } finally {
    stop();
  }
}

/**
 * Begins to join a room and returns at once, for programs that draw from their first frame on. "joined" or
 * "disconnected" follows; before it `world` has no tables. Arguments and TypeError as of `connect`.
 */
export function open<W extends object = Entities>(target: string, options: SessionOptions = {}): Session<W> {
  return new Session<W>(target, options);
}
