// A line to talk to all who are in the room.

import { element } from "./page.js";

export class Chat {
  /** @param {(text: string) => void} say @param {() => void} done the player has closed the line */
  constructor(say, done) {
    this.form = element("chat");
    this.text = element("chat-text");
    this.done = done;
    this.form.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault(); // a form would load the page again
      const text = this.text.value.trim();
      if (text) say(text);
      this.close();
      this.done();
    });
    this.text.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      event.stopPropagation(); // letters are text here, not flying
      if (event.key !== "Escape" || event.isComposing) return;
      this.close();
      this.done();
    });
    this.text.addEventListener("blur", () => {
      // Where the focus goes is not to be changed; and when the whole window loses it, the line waits.
      if (document.activeElement !== this.text) this.close();
    });
    element("chat-button").addEventListener("click", () => this.open());
  }

  open() {
    this.form.hidden = false;
    this.text.focus();
  }

  close() {
    if (this.form.hidden) return;
    this.form.hidden = true;
    this.text.value = "";
  }
}
