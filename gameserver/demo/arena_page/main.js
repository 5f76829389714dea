// The arena's page: from the join screen into a room and back.
//
// Addresses: ?room=ID names a room, ?name=NAME joins at once, ?watch watches at once, ?overlay shows the developer tools.

import { Chat } from "./chat.js";
import { Controls } from "./controls.js";
import { Game } from "./game.js";
import { Hud } from "./hud.js";
import { JoinScreen, NAME_BYTES } from "./join.js";
import { Minimap } from "./minimap.js";
import { Notice } from "./notice.js";
import { cut, element, memory } from "./page.js";
import { Quality } from "./quality.js";
import { Sounds } from "./sounds.js";
import { Stay } from "./stay.js";
import { Touch } from "./touch.js";
import { View } from "./view.js";
import { refusal, words } from "./words.js";

/** The room type is the first part of the page's path: /arena/ plays on the WebSocket at /arena. */
const ROOM_TYPE = location.pathname.split("/")[1] || "arena";
const TARGET = `/${ROOM_TYPE}`;
/** A page that is loaded again goes on where it was. */
const PLAYING = "arena.playing";
/** After a longer pause than this, in seconds, nothing is made up for: the tab was hidden. */
const LONGEST_STEP = 0.25;

const address = new URLSearchParams(location.search);
const view = new View(element("view"));
const touch = new Touch(element("stick"), element("fire"), element("touch"));
const hud = new Hud();
const table = {
  view,
  hud,
  quality: new Quality(),
  minimap: new Minimap(element("map")),
  controls: new Controls(touch),
  sounds: new Sounds(),
};
const notice = new Notice();
const chat = new Chat(
  (text) => game?.session.send("chat", text),
  () => view.canvas.focus(),
);
const menu = element("menu");
const joinScreen = new JoinScreen(TARGET, ROOM_TYPE, address.get("room") || null, begin);

/** @type {Stay | null} */
let stay = null;
/** @type {Game | null} */
let game = null;

/** The developer tools, behind the key below Escape; null until they are here. @type {any} */
let overlay = null;
import("/overlay.js")
  .then(({ attachOverlay }) => {
    overlay = attachOverlay({ key: "Backquote" });
    if (stay?.session) overlay.watch(stay.session);
  })
  .catch(() => {}); // the game goes on without

/** For the console, and for tests: `tickwire.session.world.table("Ship")`, `tickwire.session.stats`. */
const tickwire = {
  /** The session that is played or watched, null on the join screen. */
  get session() {
    return stay?.session ?? null;
  },
  /** The game that is drawn, with its `snapshots` and its `battle`. */
  get game() {
    return game;
  },
  get overlay() {
    return overlay;
  },
};
Object.assign(window, { tickwire });

// -- from the join screen into a room

/** @param {import("./stay.js").Wish} wish */
function begin(wish) {
  table.sounds.wake();
  joinScreen.hide();
  stay = new Stay(TARGET, wish, {
    began: (session) => overlay?.watch(session),
    joined,
    dropped,
    returned,
    waiting,
    refused: (code, reason) => backToStart(refusal(code, reason)),
    ended,
  });
  notice.show({ kind: "wait", title: "Joining...", text: () => "", second: ["Cancel", leave] });
  document.body.dataset.screen = "game";
  stay.join();
}

/** @param {import("/client.js").Session} session */
function joined(session) {
  const again = game !== null;
  game?.stop();
  game = new Game(session, table);
  notice.hide();
  menu.close();
  element("hud").hidden = false;
  memory.set(PLAYING, stay?.wish, "sessionStorage");
  document.title = session.spectator ? "Arena: watching" : "Arena: playing";
  if (again) hud.tellNote("You are back in the arena, with a new ship.");
  view.canvas.focus();
}

/** @param {import("/client.js").Session} session @param {number} secondsLeft */
function dropped(session, secondsLeft) {
  const ship = session.spectator ? "your place" : "your ship";
  notice.show({
    kind: "wait",
    title: "Connection lost, coming back...",
    text: (left) => (secondsLeft ? `${capital(ship)} is kept for ${Math.ceil(left)} s.` : "One moment."),
    seconds: secondsLeft || undefined,
    second: ["Give up", leave],
  });
}

function returned() {
  notice.hide();
  hud.tellNote("You are back.");
  view.canvas.focus();
}

/** @param {number} code @param {number} seconds @param {boolean} wasIn */
function waiting(code, seconds, wasIn) {
  const what = wasIn ? "A new ship waits for you" : "Trying again";
  notice.show({
    kind: "wait",
    title: `${words(code, wasIn)}.`,
    text: (left) => (left > 0.2 ? `${what} in ${Math.ceil(left)} s.` : "Joining..."),
    seconds,
    first: ["Try now", () => stay?.join()],
    second: ["Leave", leave],
  });
}

/** @param {number} code @param {string} reason */
function ended(code, reason) {
  game?.stop();
  memory.set(PLAYING, null, "sessionStorage");
  const wish = stay?.wish;
  notice.show({
    kind: "end",
    title: `${words(code, true)}.`,
    text: () => (reason ? `The server says: ${reason}` : ""),
    first: ["Play again", () => begin({ name: wish?.name || "pilot", method: "join_or_create" })],
    second: ["To the start", () => backToStart()],
  });
}

function leave() {
  stay?.leave();
  backToStart();
}

/** @param {string} [why] */
function backToStart(why = "") {
  game?.stop();
  game = stay = null;
  memory.set(PLAYING, null, "sessionStorage");
  notice.hide();
  menu.close();
  element("hud").hidden = true;
  document.body.dataset.screen = "join";
  document.title = "Arena";
  joinScreen.show(why);
}

/** @param {string} text */
function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}

// -- the menu, and keys that do not fly

function showMenu() {
  if (!game) return;
  const { roomId, spectator } = game.session;
  element("menu-room").textContent = `room ${roomId}${spectator ? ", watching" : ""}`;
  element("menu-share").textContent = "Copy a link to this room";
  table.controls.release();
  menu.showModal();
}

async function share() {
  const link = `${location.origin}${location.pathname}?room=${encodeURIComponent(game?.session.roomId ?? "")}`;
  try {
    await navigator.clipboard.writeText(link);
    element("menu-share").textContent = "Copied";
  } catch {
    prompt("Give this link to others:", link); // not allowed here: let the player copy it
  }
}

element("menu-button").addEventListener("click", showMenu);
element("menu-resume").addEventListener("click", () => menu.close());
element("menu-share").addEventListener("click", share);
element("menu-leave").addEventListener("click", leave);
menu.addEventListener("close", () => game && view.canvas.focus());
element("previous-ship").addEventListener("click", () => game?.watchNext(-1));
element("next-ship").addEventListener("click", () => game?.watchNext(1));
element("take-part").addEventListener("click", () => {
  const roomId = game?.session.roomId;
  stay?.leave();
  begin({ name: joinScreen.name.value || "pilot", method: "join_by_id", roomId });
});

addEventListener("keydown", (event) => {
  if (!game || menu.open || event.ctrlKey || event.altKey || event.metaKey) return;
  const onButton = event.target instanceof Element && event.target.closest("button, input");
  if (event.key === "Enter" && !onButton && !game.session.spectator && !notice.visible) {
    event.preventDefault(); // the Enter that opens the line would send it
    table.controls.release();
    chat.open();
  } else if (event.key === "Escape" && !onButton) {
    event.preventDefault(); // it would close the menu at once
    showMenu();
  } else if (event.code === "KeyM" && !onButton) table.sounds.toggle();
  else if (game.session.spectator && !onButton && event.code === "ArrowLeft") game.watchNext(-1);
  else if (game.session.spectator && !onButton && event.code === "ArrowRight") game.watchNext(1);
});
for (const type of ["pointerdown", "keydown"]) addEventListener(type, () => table.sounds.wake());

// -- pictures

let last = performance.now();

/** @param {number} now milliseconds */
function picture(now) {
  const seconds = Math.min(LONGEST_STEP, Math.max(0, (now - last) / 1000));
  last = now;
  if (game) game.draw(seconds, now);
  else view.drawSky(seconds);
  requestAnimationFrame(picture);
}

requestAnimationFrame(picture);

/** A wish that the address or the page before this one has. */
function wishAtOnce() {
  const kept = memory.get(PLAYING, "sessionStorage");
  const [navigation] = /** @type {PerformanceNavigationTiming[]} */ (performance.getEntriesByType("navigation"));
  if (typeof kept?.name === "string" && navigation?.type === "reload") return kept;
  const given = address.get("name");
  const name = given && cut(given, NAME_BYTES); // a link may say anything
  if (name !== null) joinScreen.name.value = name;
  const room = joinScreen.named();
  if (address.has("watch")) return { name: name ?? "", spectate: true, ...room };
  return name ? { name, method: "join_or_create", ...room } : null;
}

const wish = wishAtOnce();
if (wish) begin(wish);
else joinScreen.show();
