// Small things about the page's elements.

/**
 * The element of an id.
 * @param {string} id
 * @returns {any} one of the class that index.html says
 */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found;
}

/**
 * A new element with text, which is never read as HTML: names and chat are other players' words.
 * @param {string} tag
 * @param {string} [text]
 * @param {{class?: string, colour?: string}} [look]
 */
export function make(tag, text = "", look = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (look.class) made.className = look.class;
  if (look.colour) made.style.color = look.colour;
  return made;
}

/**
 * Write only what has changed, so that the page is not laid out again for nothing.
 * @param {HTMLElement} target
 * @param {string} text
 */
export function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * Cut text to so many bytes of UTF-8, at a character.
 * @param {string} text
 * @param {number} bytes
 */
export function cut(text, bytes) {
  const encoder = new TextEncoder();
  let whole = "";
  let used = 0;
  for (const character of text) {
    used += encoder.encode(character).length;
    if (used > bytes) break;
    whole += character;
  }
  return whole;
}

/**
 * What a page keeps, as JSON. What it may not keep (private windows, full storage) it forgets, and what does not make
 * sense any more was never there.
 */
export const memory = {
  /** @param {string} key @param {"localStorage" | "sessionStorage"} place @returns {any} */
  get(key, place = "localStorage") {
    try {
      return JSON.parse(window[place].getItem(key) ?? "null");
    } catch {
      return null;
    }
  },
  /** @param {string} key @param {unknown} value null forgets it @param {"localStorage" | "sessionStorage"} place */
  set(key, value, place = "localStorage") {
    try {
      if (value === null) window[place].removeItem(key);
      else window[place].setItem(key, JSON.stringify(value));
    } catch {
      // not kept
    }
  },
};
