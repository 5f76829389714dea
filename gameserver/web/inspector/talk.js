// What is said: a form for messages and requests, and a log of all that comes and happens.

import { element, make, readJson } from "./page.js";
import { cut, endWords, payloadText } from "./words.js";

/** @typedef {import("/client.js").Session} Session */
/** @typedef {"in" | "out" | "reply" | "bad" | "note"} Way */

const MOST_LINES = 200;
/** Lines that are kept for the next time they are shown: a room that says more is read by nobody anyway. */
const MOST_WAITING = 200;
const SIGNS = { in: "\u2190", out: "\u2192", reply: "\u21a9", bad: "!", note: "\u00b7" };
const MOST_NAMES = 40;

export class Talk {
  constructor() {
    /** @type {Session | null} */
    this.session = null;
    this.list = element("log");
    /** @type {HTMLElement[]} */
    this.waiting = [];
    this.skipped = 0;
    /** Names that were used or heard, for the form's suggestions. @type {Set<string>} */
    this.names = new Set();
    element("talk").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      const isRequest = /** @type {any} */ (event.submitter)?.value === "request";
      this.say(isRequest);
    });
  }

  /** @param {Session} session */
  watch(session) {
    this.session = session;
    session.on("joined", ({ player, roomId }) => {
      this.tell("note", "joined", `room ${roomId} as ${session.spectator ? "spectator" : "player"} ${player}`);
    });
    session.onMessage(null, (payload, kind) => {
      this.suggest(kind);
      this.tell("in", kind, payloadText(payload));
    });
    session.on("refused", ({ kind, code, reason }) => this.tell("bad", kind, `refused: ${reason || code}`));
    session.on("dropped", ({ code, reason, secondsLeft }) => {
      this.tell("bad", "dropped", `${reason} (${code}); the seat is kept for ${Math.round(secondsLeft)} s`);
    });
    session.on("returned", ({ secondsAway }) => this.tell("note", "returned", `after ${secondsAway.toFixed(1)} s`));
    session.on("disconnected", ({ code, reason }) => {
      this.tell("bad", "ended", `${endWords(code)}${reason ? `: ${reason}` : ""} (${code})`);
    });
  }

  /** @param {boolean} isRequest */
  say(isRequest) {
    const { session } = this;
    const error = element("talk-error");
    error.hidden = true;
    const name = element("talk-name").value.trim();
    try {
      const payload = readJson(element("talk-payload").value, null);
      if (!name || !session) return;
      this.suggest(name);
      const text = payloadText(payload);
      if (isRequest) {
        this.tell("out", `${name}?`, text);
        void this.ask(session, name, payload);
      } else if (session.send(name, payload)) this.tell("out", name, text);
      else this.tell("bad", name, "not sent: the connection takes nothing now");
    } catch (problem) {
      error.textContent = problem instanceof Error ? problem.message : String(problem);
      error.hidden = false;
    }
  }

  /** @param {Session} session @param {string} name @param {unknown} payload */
  async ask(session, name, payload) {
    const from = performance.now();
    try {
      const answer = await session.request(name, payload);
      this.tell("reply", name, `${payloadText(answer)} (${Math.round(performance.now() - from)} ms)`);
    } catch (error) {
      this.tell("bad", name, error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {Way} way @param {string} name @param {string} text */
  tell(way, name, text) {
    if (this.waiting.length >= MOST_WAITING) {
      this.waiting.shift();
      this.skipped++;
    }
    const line = make("li", "", { class: way });
    line.append(
      make("time", new Date().toTimeString().slice(0, 8)),
      make("i", SIGNS[way], { "aria-hidden": "true" }),
      make("b", cut(name, 60)),
      make("span", text),
    );
    this.waiting.push(line);
  }

  /** Show what has come; a few times a second, so that a talkative room does not keep the page busy. */
  refresh() {
    if (!this.waiting.length) return;
    const { list } = this;
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 30;
    if (this.skipped) list.append(make("li", `${this.skipped} lines were skipped`, { class: "bad" }));
    this.skipped = 0;
    list.append(...this.waiting);
    this.waiting = [];
    while (list.children.length > MOST_LINES) list.firstElementChild.remove();
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  }

  /** @param {string} name */
  suggest(name) {
    if (this.names.has(name) || this.names.size >= MOST_NAMES) return;
    this.names.add(name);
    const option = make("option");
    option.value = name;
    element("talk-names").append(option);
  }
}
