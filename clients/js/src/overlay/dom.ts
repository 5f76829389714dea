// Small things about elements. All text is set as text: what a room sends may be other players' words.

/** A new element with a class, and children or text. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** Writes only what has changed, so that nothing is laid out again for nothing; whether it has. */
export function write(target: Node, text: string): boolean {
  if (target.textContent === text) return false;
  target.textContent = text;
  return true;
}

/** A button that says what it is for. */
export function button(text: string, title: string, act: () => void): HTMLButtonElement {
  const made = make("button", "", text);
  made.type = "button";
  made.title = title;
  made.addEventListener("click", act);
  return made;
}

/** A field for a text that others are searched for. */
export function searchField(label: string, changed: () => void): HTMLInputElement {
  const field = make("input");
  field.type = "search";
  field.placeholder = label;
  field.setAttribute("aria-label", label);
  field.spellcheck = false;
  field.addEventListener("input", changed);
  return field;
}

/** So many children of one kind, whatever there were. */
export function resize<E extends Element>(parent: Element, wanted: number, create: () => E): E[] {
  while (parent.children.length > wanted) parent.lastElementChild?.remove();
  while (parent.children.length < wanted) parent.append(create());
  return Array.from(parent.children) as E[];
}

/** Puts a text where it can be pasted from; whether that worked. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByHand(text); // pages without TLS have no clipboard
  }
}

function copyByHand(text: string): boolean {
  const area = make("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}
