// A card over the game: the connection is lost, the server restarts, the match is over.

import { element, write } from "./page.js";

/**
 * @typedef {object} Said
 * @property {"wait" | "end"} kind
 * @property {string} title
 * @property {(left: number) => string} text for the seconds that are left; it is told again as they pass
 * @property {number} [seconds] that it may last
 * @property {[string, () => void]} [first] a button, and what it does
 * @property {[string, () => void]} [second]
 */

export class Notice {
  constructor() {
    this.section = element("notice");
    this.title = element("notice-title");
    this.text = element("notice-text");
    this.bar = element("notice-bar");
    this.timer = 0;
    for (const name of ["first", "second"]) {
      element(`notice-${name}`).addEventListener("click", () => this.acts.get(name)?.());
    }
    /** @type {Map<string, () => void>} */
    this.acts = new Map();
    this.section.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter" && event.target === this.section) this.acts.get("first")?.();
    });
  }

  get visible() {
    return !this.section.hidden;
  }

  /** @param {Said} said */
  show(said) {
    clearInterval(this.timer);
    const { seconds } = said;
    const until = performance.now() + (seconds ?? 0) * 1000;
    this.section.dataset.kind = said.kind;
    write(this.title, said.title);
    this.bar.hidden = seconds === undefined;
    const tell = () => {
      const left = Math.max(0, (until - performance.now()) / 1000);
      write(this.text, said.text(left));
      if (seconds) this.bar.firstElementChild.style.transform = `scaleX(${left / seconds})`;
    };
    tell();
    if (seconds !== undefined) this.timer = setInterval(tell, 100);
    this.showButtons(said);
    const appears = this.section.hidden;
    this.section.hidden = false;
    // Not a button: who is just shooting would press it with the space bar.
    if (appears) this.section.focus();
  }

  /** @param {Said} said */
  showButtons(said) {
    for (const name of /** @type {const} */ (["first", "second"])) {
      const button = element(`notice-${name}`);
      const [text, act] = said[name] ?? ["", () => {}];
      button.hidden = !said[name];
      write(button, text);
      this.acts.set(name, act);
    }
  }

  hide() {
    clearInterval(this.timer);
    this.section.hidden = true;
  }
}
