// Builds what ships: the bundles inside the Python package and, with --package, the npm package's dist folder.
//
//     node scripts/build.mjs            writes gameserver/web/bundled/
//     node scripts/build.mjs --check    writes nothing; fails when the files there are not what the sources build
//     node scripts/build.mjs --package  dist/ for `npm pack`

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { minify } from "terser";

const HERE = dirname(fileURLToPath(import.meta.url));
const SOURCES = join(HERE, "..", "src");
const BUNDLED = join(HERE, "..", "..", "..", "gameserver", "web", "bundled");
const { version } = JSON.parse(readFileSync(join(HERE, "..", "package.json"), "utf8"));

/** What is bundled, and how many bytes it may have when gzip has packed it. */
const BUNDLES = [
  { entry: "client.ts", file: "client.js", mostBytes: 15 * 1024 },
  { entry: "extras.ts", file: "extras.js", mostBytes: 3 * 1024 },
  { entry: "overlay/index.ts", file: "overlay.js", mostBytes: 15 * 1024 },
];

/**
 * Members of our own classes that no page meets, and whose names the bundles need not spell out. Everything that is
 * `#private` is shortened anyway; what pages, the overlay or a WebSocket call must not stand here.
 */
const INTERNAL = `
  chunksAt removedAt wholeAt blocksAt scopeAt bytesOf forgetValues putWhole putChanges removeAll heldAmong addCompanion
  columnOf checkHeld settle returning steering silence attemptAt patience expectFrames nextCheck takeReturned takeReply
  takeFrame linkOpened linkHeard linkFailed linkClosed lastSent usableTick cameBack hasRoom sentAt encoded waits hurry
  giveUp nextDue sendDue canSend isOver checkNames
`;
const INTERNAL_NAMES = new RegExp(`^(?:${INTERNAL.trim().split(/\s+/).join("|")})$`);

async function bundle({ entry, file, mostBytes }) {
  const { outputFiles } = await build({
    entryPoints: [join(SOURCES, entry)],
    bundle: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    write: false,
  });
  // 2 % smaller than what esbuild makes of it.
  const { code } = await minify(outputFiles[0].text, {
    module: true,
    ecma: 2022,
    compress: { passes: 6, unsafe_arrows: true, unsafe_methods: true, keep_fargs: false },
    mangle: { properties: { regex: INTERNAL_NAMES } },
    format: { preamble: `// Tickwire ${version}, MIT. Built from clients/js.` },
  });
  const contents = Buffer.from(`${code}\n`);
  const packed = gzipSync(contents, { level: 9 }).length;
  console.log(`${file}: ${contents.length} bytes, ${packed} as gzip, of ${mostBytes}`);
  if (packed > mostBytes) {
    console.error(`${file} is too large`);
    process.exitCode = 1;
  }
  return contents;
}

const action = process.argv[2] ?? "";
if (action === "--package") {
  rmSync(join(HERE, "..", "dist"), { recursive: true, force: true });
  execFileSync("npx", ["tsc", "-p", join(HERE, "..", "tsconfig.build.json")], { stdio: "inherit" });
  copyFileSync(join(HERE, "..", "..", "..", "LICENSE"), join(HERE, "..", "LICENSE")); // npm packs what is beside it
} else {
  mkdirSync(BUNDLED, { recursive: true });
  for (const each of BUNDLES) {
    const contents = await bundle(each);
    const path = join(BUNDLED, each.file);
    if (action !== "--check") writeFileSync(path, contents);
    else if (!readFileSync(path).equals(contents)) {
      throw new Error(`${each.file} is not what the sources build: run \`make client\` and commit it`);
    }
  }
}
