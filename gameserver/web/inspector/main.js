// The inspector: a room type without a page of its own, as its players would see it.
//
// Addresses: ?name=NAME joins at once, ?room=ID that room, ?watch to watch, ?overlay shows the developer tools.

import { Controls } from "./controls.js";
import { JoinScreen } from "./join.js";
import { WorldMap } from "./map.js";
import { element, memory, write } from "./page.js";
import { Tables, Values } from "./rows.js";
import { Stay } from "./stay.js";
import { Talk } from "./talk.js";
import { endWords } from "./words.js";

/** @typedef {import("/client.js").Session} Session */
/** @typedef {import("/client.js").ConnectOptions} Wish */
/** @typedef {import("./paint.js").Selected} Selected */

/** The room type is the first part of the page's path: /duel/ plays on the WebSocket at /duel. */
const ROOM_TYPE = decodeURIComponent(location.pathname.split("/")[1]);
const TARGET = `/${encodeURIComponent(ROOM_TYPE)}`;
/** A page that is loaded again goes on where it was. */
const PLAYING = `tickwire inspector playing ${ROOM_TYPE}`;
/** Milliseconds between two times that numbers are written, so that they can be read. */
const REFRESH_MS = 125;
/** Nothing is made up for after a longer pause, in seconds: the tab was hidden. */
const LONGEST_STEP = 0.25;

const map = new WorldMap(select);
const controls = new Controls();
const tables = new Tables(select);
const state = new Values("state");
const chosen = new Values("selected");
const talk = new Talk();
const joinScreen = new JoinScreen(TARGET, ROOM_TYPE, begin);

/** @type {Stay | null} */
let stay = null;
/** The session that is shown: joined once, maybe over. @type {Session | null} */
let shown = null;
/** @type {Selected | null} */
let selected = null;
/** The developer tools, behind the key below Escape; null until they are here. @type {any} */
let overlay = null;

import("/overlay.js")
  .then(({ attachOverlay }) => {
    overlay = attachOverlay({ key: "Backquote" });
    element("tools").hidden = false;
    if (stay?.session) overlay.watch(stay.session);
  })
  .catch(() => {}); // all the rest goes on without

/** For the console, and for tests: `tickwire.session.world.tables`, `tickwire.session.stats`. */
const tickwire = {
  /** The newest session, null on the first screen. */
  get session() {
    return stay?.session ?? null;
  },
  get overlay() {
    return overlay;
  },
  map,
};
Object.assign(window, { tickwire });

// -- into a room and out of it

/** @param {Wish} wish */
function begin(wish) {
  const next = new Stay(TARGET, wish, { began, joined, dropped, returned: hideNotice, ended });
  stay?.leave();
  stay = next;
  joinScreen.tell("");
  try {
    next.join();
  } catch (error) {
    backToStart(error instanceof Error ? error.message : String(error)); // the wish makes no sense
    return;
  }
  element("play").disabled = true;
  write(element("play"), "Joining...");
}

/** @param {Session} session */
function began(session) {
  overlay?.watch(session);
  talk.watch(session);
}

/** @param {Session} session */
function joined(session) {
  joinScreen.hide();
  shown = session;
  selected = null;
  memory.set(PLAYING, stay?.wish, sessionStorage);
  document.body.dataset.screen = "live";
  element("live").hidden = false;
  hideNotice();
  map.watch(session);
  document.body.dataset.map = map.isUseful ? "yes" : "no";
  controls.watch(session);
  tables.watch(session, new Set(map.points.map(({ shape }) => shape.table.name)));
  state.clear();
  showRoom(session);
  refresh(session);
  (map.isUseful ? map.canvas : element("live")).focus({ preventScroll: true });
}

/** @param {Session} session */
function showRoom(session) {
  const { room, roomId, player, spectator, tickRate, world } = session;
  document.title = `${room} ${roomId}: inspector`;
  write(element("bar-room"), `${room} ${roomId}`);
  const rate = tickRate ? `${tickRate} ticks/s` : "ticks when something happens";
  write(element("bar-who"), `${spectator ? "watching" : `you are player ${player}`}, ${rate}`);
  const single = world.tables.find((table) => table.schema.single);
  element("state-part").hidden = !single;
  element("selected-part").hidden = world.tables.every((table) => table.schema.single);
  write(element("state-name"), single?.name ?? "");
}

/** @param {number} secondsLeft */
function dropped(secondsLeft) {
  const until = performance.now() + secondsLeft * 1000;
  showNotice("wait", "Connection lost, coming back...", () => `The seat is kept for ${left(until)} s.`);
}

/** @param {number} code @param {string} reason @param {boolean} wasIn @param {number | null} againSeconds */
function ended(code, reason, wasIn, againSeconds) {
  const words = endWords(code);
  if (!wasIn) {
    backToStart(`${words}${reason ? `: ${reason}` : ""} (${code})`);
    return;
  }
  const until = performance.now() + (againSeconds ?? 0) * 1000;
  const said = `${reason || "no reason was given"} (close code ${code})`;
  const again = () => (againSeconds === null ? "" : ` Joining again in ${left(until)} s.`);
  showNotice("end", words, () => `${said}.${again()}`);
}

/** @param {number} until milliseconds of the page's clock */
function left(until) {
  return Math.max(0, Math.ceil((until - performance.now()) / 1000));
}

/** @param {string} [why] */
function backToStart(why = "") {
  stay?.leave();
  stay = shown = null;
  map.stop();
  memory.set(PLAYING, null, sessionStorage);
  hideNotice();
  element("play").disabled = false;
  write(element("play"), "Join");
  element("live").hidden = true;
  document.body.dataset.screen = "join";
  document.title = `${ROOM_TYPE}: inspector`;
  joinScreen.show(why);
}

// -- a notice over the room

/** What the notice says, again and again, for seconds pass. @type {(() => string) | null} */
let notice = null;

/** @param {"wait" | "end"} kind @param {string} title @param {() => string} text */
function showNotice(kind, title, text) {
  notice = text;
  write(element("notice-title"), title);
  write(element("notice-text"), text());
  element("notice-again").hidden = kind === "wait";
  const section = element("notice");
  const appears = section.hidden;
  section.hidden = false;
  if (appears) element(kind === "wait" ? "notice-start" : "notice-again").focus();
}

function hideNotice() {
  notice = null;
  element("notice").hidden = true;
}

element("notice-again").addEventListener("click", () => stay?.join());
element("notice-start").addEventListener("click", () => backToStart());
element("leave").addEventListener("click", () => backToStart());
element("tools").addEventListener("click", () => overlay?.toggle());

// -- pictures and numbers

/** @param {Selected | null} wanted */
function select(wanted) {
  selected = wanted;
  if (shown) showSelected(shown);
}

/** @param {Session} session */
function showSelected(session) {
  element("selected-none").hidden = selected !== null;
  if (!selected) {
    chosen.clear();
    write(element("selected-name"), "");
    return;
  }
  const table = session.world.table(selected.table);
  const row = table.row(selected.id);
  const what = `${table.name} ${row.id}`;
  write(element("selected-name"), row.alive ? (row.mine ? `${what}, yours` : what) : `${what} is gone`);
  chosen.show(session, table, row);
}

/** Write all numbers. @param {Session} session */
function refresh(session) {
  const { world, stats, rtt, tick } = session;
  const entities = world.tables.reduce((sum, table) => sum + (table.schema.single ? 0 : table.size), 0);
  const trip = rtt === null ? "" : `, ${Math.round(rtt * 1000)} ms`;
  const desyncs = stats.desyncs ? `, ${stats.desyncs} desyncs` : "";
  write(element("bar-figures"), `tick ${tick}, ${entities} ${entities === 1 ? "entity" : "entities"}${trip}${desyncs}`);
  const single = world.tables.find((table) => table.schema.single);
  const row = session.state;
  if (single && row) state.show(session, single, row);
  showSelected(session);
  tables.refresh(selected);
  map.refresh();
  if (notice) write(element("notice-text"), notice());
}

let last = performance.now();
let refreshed = 0;

/** @param {number} now milliseconds */
function picture(now) {
  const seconds = Math.min(LONGEST_STEP, Math.max(0, (now - last) / 1000));
  last = now;
  if (shown) {
    controls.say();
    if (map.isUseful) map.draw(seconds, selected);
    if (now - refreshed > REFRESH_MS) {
      refreshed = now;
      refresh(shown);
      talk.refresh();
    }
  }
  requestAnimationFrame(picture);
}

addEventListener("keydown", (event) => {
  if (!shown || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target instanceof Element && event.target.closest("input, textarea, select")) return;
  if (event.key === "+" || event.key === "-") map.zoom(event.key === "+" ? 1.4 : 1 / 1.4);
  else if (event.key === "Escape") select(null);
});

/** A wish that the address or the page before this one has. @returns {Wish | null} */
function wishAtOnce() {
  const address = new URLSearchParams(location.search);
  const isReload = /** @type {any} */ (performance.getEntriesByType("navigation")[0])?.type === "reload";
  const kept = isReload ? memory.get(PLAYING, sessionStorage) : null;
  if (kept) return kept;
  const name = address.get("name");
  const roomId = address.get("room");
  if (name !== null) element("name").value = name;
  if (roomId) {
    element("room-id").value = roomId;
    element("method").value = "join_by_id";
  }
  if (address.has("watch")) element("spectate").checked = true;
  return name !== null || address.has("watch") ? joinScreen.read() : null;
}

requestAnimationFrame(picture);
document.title = `${ROOM_TYPE}: inspector`;
joinScreen.show();
const wish = wishAtOnce();
if (wish) begin(wish);
