// The first screen: who you are, how to join, and the rooms that there are.

import { listRooms } from "/extras.js";
import { element, make, memory, readJson } from "./page.js";

/** @typedef {import("/extras.js").RoomListing} RoomListing */
/** @typedef {import("/client.js").ConnectOptions} Wish */

const EVERY_MS = 3000;
const MOST_LISTED = 100;

export class JoinScreen {
  /**
   * @param {string} target the room type's address
   * @param {string} roomType
   * @param {(wish: Wish) => void} go
   */
  constructor(target, roomType, go) {
    this.target = target;
    this.roomType = roomType;
    this.go = go;
    this.timer = 0;
    this.drawn = "";
    this.shown = false;
    this.list = element("rooms");
    this.state = element("rooms-state");
    element("join-room-type").textContent = roomType;
    const { name = "", options = "" } = memory.get(this.place) ?? {};
    element("name").value = name;
    element("options").value = options;
    element("join-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.submit({});
    });
    element("refresh").addEventListener("click", () => this.refresh());
    element("room-id").addEventListener("input", () => {
      if (element("room-id").value) element("method").value = "join_by_id";
    });
  }

  /** Where the form's last content is kept. */
  get place() {
    return `tickwire inspector ${this.roomType}`;
  }

  /** @param {string} [why] it is shown again */
  show(why = "") {
    this.shown = true;
    this.tell(why);
    element("name").focus();
    this.refresh();
  }

  hide() {
    this.shown = false;
    clearTimeout(this.timer);
  }

  /** @param {string} why */
  tell(why) {
    const notice = element("join-notice");
    notice.textContent = why;
    notice.hidden = !why;
  }

  /** Join as the form says. @param {Partial<Wish>} other than the form */
  submit(other) {
    try {
      const wish = { ...this.read(other.roomId), ...other };
      memory.set(this.place, { name: element("name").value, options: element("options").value });
      this.tell("");
      this.go(wish);
    } catch (error) {
      this.tell(error instanceof Error ? error.message : String(error));
    }
  }

  /**
   * What the form says.
   * @param {string} [roomId] of the room that was chosen from the list
   * @returns {Wish}
   */
  read(roomId) {
    const text = (/** @type {string} */ id) => element(id).value.trim();
    const options = readJson(element("options").value, {});
    if (typeof options !== "object" || options === null || Array.isArray(options)) {
      throw new SyntaxError('Options are a JSON object, such as {"map": "desert"}.');
    }
    /** @type {Wish} */
    const wish = { name: text("name") || "tester", method: element("method").value, options };
    if (wish.method === "join_by_id") wish.roomId = roomId ?? text("room-id");
    if (wish.roomId === "") throw new TypeError("To join by id, give the room's id.");
    if (text("invite")) wish.invite = text("invite");
    if (element("password").value) wish.password = element("password").value;
    if (text("token")) wish.token = text("token");
    if (element("spectate").checked) wish.spectate = true;
    return wish;
  }

  async refresh() {
    clearTimeout(this.timer);
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
    this.list.replaceChildren(...rooms.slice(0, MOST_LISTED).map((room) => this.line(room)));
    if (focused) this.list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    const more = rooms.length - MOST_LISTED;
    this.state.textContent = !rooms.length
      ? "No room is open. Join makes one."
      : more > 0
        ? `And ${more} more; join them by id.`
        : "";
  }

  /** @param {RoomListing} room */
  line(room) {
    const { roomId, players, maxPlayers, spectators, locked, hasPassword, metadata } = room;
    const parts = [`${players}${maxPlayers === null ? "" : ` of ${maxPlayers}`} playing`];
    if (spectators) parts.push(`${spectators} watching`);
    if (locked) parts.push("locked");
    if (hasPassword) parts.push("password");
    for (const [field, value] of Object.entries(metadata ?? {})) parts.push(`${field} ${value}`);
    const line = make("li");
    const about = make("div", "", { class: "about" });
    about.append(make("b", `Room ${roomId}`), make("span", parts.join(", ")));
    const watch = this.button("Watch", roomId, true);
    const play = this.button("Join", roomId, false);
    play.disabled = locked || (maxPlayers !== null && players >= maxPlayers);
    line.append(about, watch, play);
    return line;
  }

  /** @param {string} text @param {string} roomId @param {boolean} spectate */
  button(text, roomId, spectate) {
    const made = make("button", text, { type: "button", class: "small", "aria-label": `${text} room ${roomId}` });
    made.dataset.key = `${text} ${roomId}`;
    made.addEventListener("click", () => this.submit({ method: "join_by_id", roomId, spectate }));
    return made;
  }
}
