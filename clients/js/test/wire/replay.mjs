// For tests of other languages: applies a server's messages and prints what the replica then holds.
//
//     node replay.mjs < messages.json      a JSON array of messages in hex, the welcome first
//
// Prints one line of JSON for each frame: tick, hash, whether it was the hash that the frame said, changes, tables.

import { readFileSync } from "node:fs";
import { build } from "esbuild";

const entry = `
  export { readMessage } from "../../src/wire/messages.js";
  export { Replica } from "../../src/wire/replica.js";
  export { plainChanges, plainTables } from "./vectors.js";
`;
const { outputFiles } = await build({
  stdin: { contents: entry, resolveDir: import.meta.dirname, loader: "ts" },
  bundle: true,
  format: "esm",
  platform: "node",
  define: { "import.meta.dirname": JSON.stringify(import.meta.dirname) },
  write: false,
});
const source = `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`;
const { readMessage, Replica, plainChanges, plainTables } = await import(source);

const lines = [];
let replica = null;
for (const hex of JSON.parse(readFileSync(0, "utf8"))) {
  const message = readMessage(Uint8Array.from(Buffer.from(hex, "hex")));
  if (message.type === "welcome") replica = new Replica(message.welcome.schema, message.welcome.player);
  if (message.type !== "frame") continue;
  const changes = replica.apply(message.frame);
  const inSync = replica.check(message.frame);
  lines.push({
    tick: replica.tick,
    hash: replica.hash(),
    in_sync: inSync,
    changes: plainChanges(changes),
    tables: plainTables(replica),
    known: replica.tables.map((table) => table.fieldNames.map((name) => [...table.known(name)])),
  });
}
process.stdout.write(JSON.stringify(lines));
