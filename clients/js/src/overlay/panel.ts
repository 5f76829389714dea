// The overlay as a page has it: a panel in a shadow root, with its parts, a key, and a clock while it is seen.

import { button, make, write } from "./dom.js";
import { LinkPart, stateOf } from "./link_part.js";
import { LogPart } from "./log_part.js";
import { recall, remember } from "./memory.js";
import { Recorder, type WatchedSession } from "./recorder.js";
import { STYLE } from "./style.js";
import { TablesPart } from "./tables_part.js";

const DRAW_MS = 250;
/** What begins on the panel is no affair of the game below it; what ends there may be. */
const NOT_FOR_THE_GAME = ["pointerdown", "mousedown", "touchstart", "click", "dblclick", "wheel", "contextmenu"];
const KEYS = ["keydown", "keypress", "keyup"];

export interface OverlayOptions {
  /** The key that shows and hides it, as `code` or `key` of keyboard events say; "Backquote" unless said. */
  key?: string;
  /** Where in the page it is; the body unless said. */
  parent?: HTMLElement;
  /** Whether it is seen at first, when the tab remembers nothing; false unless said. */
  visible?: boolean;
}

export interface Overlay {
  readonly visible: boolean;
  /** The element that has it in an open shadow root. */
  readonly element: HTMLElement;
  /** Shows this session from now on; to be called before it joins if its first messages are to be seen. */
  watch(session: WatchedSession): void;
  /** Shows it if it is hidden, hides it if it is seen. */
  toggle(): void;
  /** Takes it out of the page, and stops watching. */
  remove(): void;
}

type PartName = "link" | "tables" | "log";

export class Panel implements Overlay {
  readonly element = make("div");
  readonly #recorder = new Recorder();
  readonly #link = new LinkPart(this.#recorder);
  readonly #parts = { link: this.#link, tables: new TablesPart(), log: new LogPart(this.#recorder) };
  readonly #state = make("span", "state grow");
  readonly #brief = make("div", "brief");
  readonly #tabs: { readonly name: PartName; readonly tab: HTMLButtonElement }[];
  readonly #listening = new AbortController();
  readonly #key: string;
  #part: PartName;
  #session: WatchedSession | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor({ key = "Backquote", parent = document.body, visible = false }: OverlayOptions) {
    const kept = recall();
    this.#key = key;
    this.#part = kept.part && kept.part in this.#parts ? (kept.part as PartName) : "link";
    this.#tabs = (Object.keys(this.#parts) as PartName[]).map((name) => ({ name, tab: this.#makeTab(name) }));
    this.#build();
    this.#listen();
    parent.append(this.element);
    this.#choose(this.#part);
    this.#show(new URLSearchParams(location.search).has("overlay") || (kept.visible ?? visible));
  }

  get visible(): boolean {
    return !this.element.hidden;
  }

  watch(session: WatchedSession): void {
    this.#session = session;
    this.#recorder.watch(session);
    this.#link.reset();
    this.#draw();
  }

  toggle(): void {
    this.#show(!this.visible);
    this.#remember();
  }

  remove(): void {
    this.#recorder.stop();
    this.#listening.abort();
    clearInterval(this.#timer);
    this.element.remove();
  }

  // -- making it

  #makeTab(name: PartName): HTMLButtonElement {
    const tab = button(name[0].toUpperCase() + name.slice(1), "", () => {
      this.#choose(name);
      this.#remember();
    });
    tab.setAttribute("role", "tab");
    return tab;
  }

  #build(): void {
    const root = this.element.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet(); // unlike an element it needs no leave of a content security policy
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    const hide = button("\u00d7", `Hide (${this.#key})`, () => this.toggle());
    const tabs = make("nav", "", ...this.#tabs.map(({ tab }) => tab));
    tabs.setAttribute("role", "tablist");
    const header = make("header", "", make("b", "", "Tickwire"), this.#state, hide);
    const parts = Object.values(this.#parts).map((part) => part.element);
    const panel = make("div", "panel", header, this.#brief, tabs, ...parts);
    panel.setAttribute("role", "region");
    panel.setAttribute("aria-label", "Tickwire developer overlay");
    root.append(panel);
  }

  #listen(): void {
    const { signal } = this.#listening;
    addEventListener("keydown", (event) => this.#keyDown(event), { capture: true, signal });
    document.addEventListener("visibilitychange", () => this.#show(this.visible), { signal });
    const root = this.element.shadowRoot;
    for (const type of NOT_FOR_THE_GAME) root?.addEventListener(type, stop, { passive: true });
    for (const type of KEYS) root?.addEventListener(type, stopOwnKey as EventListener);
  }

  #keyDown(event: KeyboardEvent): void {
    const { code, key, repeat, ctrlKey, altKey, metaKey } = event;
    if ((code !== this.#key && key !== this.#key) || repeat || ctrlKey || altKey || metaKey || isTyping(event)) return;
    event.preventDefault();
    this.toggle();
  }

  // -- showing it

  #show(visible: boolean): void {
    this.element.hidden = !visible;
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (!visible || document.hidden) return;
    this.#timer = setInterval(() => this.#draw(), DRAW_MS);
    this.#draw();
  }

  #choose(part: PartName): void {
    this.#part = part;
    for (const { name, tab } of this.#tabs) {
      tab.setAttribute("aria-selected", String(name === part));
      this.#parts[name].element.hidden = name !== part;
    }
    this.#draw();
  }

  #remember(): void {
    remember({ visible: this.visible, part: this.#part });
  }

  #draw(): void {
    if (!this.visible || document.hidden) return;
    const session = this.#session;
    write(this.#state, stateOf(session));
    this.#state.classList.toggle("joined", !!session?.joined && !session.reconnecting);
    this.#state.classList.toggle("closed", !!session?.closed);
    if (session) this.#link.sample(session, this.#recorder.entries);
    write(this.#brief, this.#link.brief || "Nothing is watched yet.");
    if (this.#part === "log") this.#parts.log.draw();
    else this.#parts[this.#part].draw(session);
  }
}

function stop(event: Event): void {
  event.stopPropagation();
}

/** Keys that write something here or press a button are not for the game; all others are, wherever the focus is. */
function stopOwnKey(event: KeyboardEvent): void {
  if (isTyping(event) || event.key === "Enter" || event.key === " ") event.stopPropagation();
}

/** Whether a key goes to where text is written. */
function isTyping(event: KeyboardEvent): boolean {
  const target = event.composedPath()[0];
  if (!(target instanceof HTMLElement)) return false;
  const isField = target.matches(
    "textarea, select, input:not([type=checkbox], [type=radio], [type=range], [type=button])",
  );
  return isField || target.isContentEditable;
}
