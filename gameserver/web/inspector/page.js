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
 * A new element with text, which is never read as HTML: what a room sends may be other players' words.
 * @param {string} tag
 * @param {string} [text]
 * @param {Record<string, string>} [attributes]
 * @returns {any}
 */
export function make(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  return made;
}

/**
 * Write only what has changed, so that the page is not laid out again for nothing.
 * @param {Element} target
 * @param {string} text
 */
export function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * What JSON a person has typed stands for; nothing stands for `none`.
 * @param {string} text
 * @param {unknown} none
 * @throws {SyntaxError} with a text for that person
 */
export function readJson(text, none) {
  if (!text.trim()) return none;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`This is not JSON (${/** @type {Error} */ (error).message}); a text needs "quotes".`);
  }
}

/** What a page may not keep (private windows, full storage) it forgets. */
export const memory = {
  /** @param {string} key @param {Storage} storage @returns {any} */
  get(key, storage = localStorage) {
    try {
      return JSON.parse(storage.getItem(key) ?? "null");
    } catch {
      return null;
    }
  },
  /** @param {string} key @param {unknown} value @param {Storage} storage */
  set(key, value, storage = localStorage) {
    try {
      storage.setItem(key, JSON.stringify(value));
    } catch {
      // not kept
    }
  },
};
