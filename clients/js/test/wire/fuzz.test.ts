// Whatever a server sends: it is taken, or refused with one of two errors, and the next full frame is taken again.

import { describe, expect, test } from "vitest";
import { BaselineError, ProtocolError } from "../../src/wire/errors.js";
import { readMessage } from "../../src/wire/messages.js";
import { Replica } from "../../src/wire/replica.js";
import { readSchema } from "../../src/wire/schema.js";
import { fromHex, type Json, onTheWire, vectors } from "./vectors.js";

const ROUNDS = Number(process.env.TICKWIRE_FUZZ ?? 40);

/** Numbers from 0 to below 1 that are the same in every run (mulberry32). */
function chanceOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One to three bytes flipped, put in, taken out, or a part of it put somewhere else. */
function mutate(message: Uint8Array, chance: () => number): Uint8Array {
  let bytes = [...message];
  const somewhere = () => Math.floor(chance() * (bytes.length + 1));
  for (let count = 1 + Math.floor(chance() * 3); count > 0; count--) {
    const at = somewhere();
    const kind = Math.floor(chance() * 5);
    if (kind === 0) bytes[at % bytes.length || 0] ^= 1 << Math.floor(chance() * 8);
    else if (kind === 1) bytes.splice(at, 0, Math.floor(chance() * 256));
    else if (kind === 2) bytes.splice(at, 1 + Math.floor(chance() * 3));
    else if (kind === 3) bytes = bytes.slice(0, at);
    else bytes.splice(at, 0, ...bytes.slice(somewhere(), somewhere()).slice(0, 40));
  }
  return Uint8Array.from(bytes);
}

/** Gives a replica a message; what happened. Other errors leave. */
function give(replica: Replica, message: Uint8Array): "taken" | "refused" {
  try {
    const read = readMessage(message);
    if (read.type !== "frame") return "taken";
    replica.apply(read.frame);
    replica.check(read.frame);
    for (const table of replica.tables)
      for (const name of table.fieldNames) expect(table.column(name)).toHaveLength(table.size);
    return "taken";
  } catch (error) {
    if (error instanceof ProtocolError || error instanceof BaselineError) return "refused";
    throw error;
  }
}

const isFull = (message: Uint8Array) => {
  const read = readMessage(message);
  return read.type === "frame" && read.frame.header.back === 0;
};

describe.each(vectors("replica"))("$file", ({ file, vector }) => {
  const steps: Uint8Array[] = vector.steps
    .filter((step: Json) => step.result === "applied")
    .map((step: Json) => fromHex(step.message));
  test("mutated frames are taken or refused, and the next full frame is taken", () => {
    const chance = chanceOf([...file].reduce((seed, letter) => seed * 31 + letter.charCodeAt(0), 7));
    const full = steps.find(isFull) as Uint8Array;
    const counts = { taken: 0, refused: 0 };
    for (let round = 0; round < ROUNDS; round++) {
      const replica = new Replica(readSchema(onTheWire(vector.schema)));
      for (const step of steps) {
        give(replica, step);
        counts[give(replica, mutate(step, chance))]++;
      }
      expect(give(replica, full)).toBe("taken");
      expect(replica.usable).toBe(true);
    }
    expect(counts.refused).toBeGreaterThan(0);
  });
});

test("mutated welcomes, replies and returns are taken or refused", () => {
  const chance = chanceOf(5);
  const messages = vectors("messages").flatMap(({ vector }) => (vector.from === "server" ? vector.cases : []));
  const replica = new Replica({ tables: [], input: null });
  const counts = { taken: 0, refused: 0 };
  for (const { message } of messages) {
    for (let round = 0; round < ROUNDS * 5; round++) counts[give(replica, mutate(fromHex(message), chance))]++;
  }
  expect(counts.refused).toBeGreaterThan(counts.taken);
});
