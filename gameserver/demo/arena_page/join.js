// The first screen: a name, and the rooms that there are.

import { listRooms } from "/extras.js";
import { cut, element, make, memory } from "./page.js";

/** @typedef {import("./stay.js").Wish} Wish */
/** @typedef {import("/extras.js").RoomListing} RoomListing */

export const NAME_BYTES = 24;
const EVERY_MS = 3000;
const KEY = "arena.name";

export class JoinScreen {
  /**
   * @param {string} target the room type's address
   * @param {string} roomType
   * @param {string | null} asked id of the room that the page's address names
   * @param {(wish: Wish) => void} join
   */
  constructor(target, roomType, asked, join) {
    this.target = target;
    this.roomType = roomType;
    this.asked = asked;
    this.join = join;
    this.name = element("name");
    this.list = element("rooms");
    this.state = element("rooms-state");
    this.notice = element("join-notice");
    this.shown = false;
    this.timer = 0;
    this.drawn = "";
    this.name.value = cut(String(memory.get(KEY) ?? ""), NAME_BYTES);
    element("join-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault(); // a form would load the page again
      if (this.asked === null) this.go({ method: "join_or_create" });
      else this.go({ method: "join_by_id", roomId: this.asked });
    });
    element("new-room").addEventListener("click", () => this.go({ method: "create" }));
    element("watch").addEventListener("click", () => this.go({ spectate: true, ...this.named() }));
    document.addEventListener("visibilitychange", () => this.refresh());
  }

  /** The room that the address names, as part of a wish. @returns {Partial<Wish>} */
  named() {
    return this.asked === null ? {} : { method: "join_by_id", roomId: this.asked };
  }

  /** @param {Partial<Wish>} wish */
  go(wish) {
    this.name.value = cut(this.name.value.trim(), NAME_BYTES);
    memory.set(KEY, this.name.value);
    this.join({ name: this.name.value || "pilot", ...wish });
  }

  /** @param {string} [notice] why the player is not in a room */
  show(notice = "") {
    this.shown = true;
    this.notice.textContent = notice;
    this.notice.hidden = !notice;
    this.showAsked();
    this.refresh();
    if (matchMedia("(hover: hover)").matches) this.name.focus(); // a phone's keyboard would cover the rooms
  }

  hide() {
    this.shown = false;
    clearTimeout(this.timer);
  }

  /** The button says where it leads. */
  showAsked() {
    element("play").textContent = this.asked === null ? "Play" : `Play in room ${this.asked}`;
  }

  /** Look for rooms now, and again and again while the screen is shown. */
  async refresh() {
    clearTimeout(this.timer);
    if (!this.shown || document.hidden) return;
    try {
      this.draw(await listRooms(this.target, { room: this.roomType }));
    } catch {
      this.drawn = "";
      this.list.replaceChildren();
      this.state.textContent = "The server does not answer. Looking again...";
    }
    clearTimeout(this.timer);
    if (this.shown) this.timer = setTimeout(() => this.refresh(), EVERY_MS);
  }

  /** @param {RoomListing[]} rooms */
  draw(rooms) {
    const drawn = JSON.stringify(rooms);
    if (drawn === this.drawn) return; // a button that is being pressed stays
    this.drawn = drawn;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.key;
    this.list.replaceChildren(...rooms.map((room) => this.line(room)));
    if (focused) this.list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    this.state.textContent = rooms.length ? "" : "Nobody plays right now. Press Play: you will be the first.";
    if (this.asked !== null && !rooms.some(({ roomId }) => roomId === this.asked)) {
      this.asked = null;
      this.showAsked();
      this.state.textContent = `The room of your link has ended. ${this.state.textContent}`;
    }
  }

  /** @param {RoomListing} room */
  line(room) {
    const { roomId, players, maxPlayers, spectators, locked } = room;
    const full = maxPlayers !== null && players >= maxPlayers;
    const line = make("li", "", { class: roomId === this.asked ? "asked" : "" });
    const about = make("div", "", { class: "about" });
    const most = maxPlayers === null ? "" : ` of ${maxPlayers}`;
    const watching = spectators ? `, ${spectators} watching` : "";
    const state = locked ? ", locked" : full ? ", full" : "";
    about.append(make("b", `Room ${roomId}`), make("span", `${players}${most} playing${watching}${state}`));
    const play = this.button("Join", roomId, () => this.go({ method: "join_by_id", roomId }));
    /** @type {HTMLButtonElement} */ (play).disabled = locked || full;
    const watch = this.button("Watch", roomId, () => this.go({ method: "join_by_id", roomId, spectate: true }));
    line.append(about, watch, play);
    return line;
  }

  /** @param {string} text @param {string} roomId @param {() => void} act */
  button(text, roomId, act) {
    const made = make("button", text);
    made.setAttribute("type", "button");
    made.setAttribute("aria-label", `${text} room ${roomId}`);
    made.dataset.key = `${text} ${roomId}`;
    made.addEventListener("click", act);
    return made;
  }
}
