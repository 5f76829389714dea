// The part that lists the last messages, and opens one of them.

import { summarize } from "./describe.js";
import { make, resize, searchField, write } from "./dom.js";
import { formatTime } from "./format.js";
import { MessageView } from "./message_view.js";
import type { Recorder } from "./recorder.js";
import type { Entry } from "./ring.js";

const MOST_ROWS = 100;
const RARE = "all but frames, inputs";
const STREAM = ["frame", "input", "acknowledge"];
const KINDS = [
  "message",
  "request",
  "reply",
  "hello",
  "welcome",
  "returned",
  "resync",
  "session",
  "malformed",
  "skipped",
];
const ARROWS = { in: "\u2193", out: "\u2191", note: "\u2022" };
const NO_IDS = new Uint32Array();

export class LogPart {
  readonly element = make("section", "log");
  readonly #kind = make("select");
  readonly #filter = searchField("Filter by text", () => this.#draw());
  readonly #pause = make("input");
  readonly #list = make("ol");
  readonly #empty = make("p", "dim", "No such messages yet.");
  readonly #opened = new MessageView();
  #entries: readonly Entry[] = [];
  #rows: readonly Entry[] = []; // what the lines of the list show
  #isHovered = false;

  constructor(private readonly recorder: Recorder) {
    this.#kind.setAttribute("aria-label", "Kinds of messages");
    this.#kind.append(...["all kinds", RARE, ...STREAM, ...KINDS].map((kind) => make("option", "", kind)));
    this.#kind.addEventListener("change", () => this.#draw());
    this.#pause.type = "checkbox";
    const pause = make("label", "", this.#pause, " Pause");
    pause.title = "The list also stands still while the pointer is over it";
    this.#list.tabIndex = 0;
    this.#listen();
    this.element.append(
      make("div", "bar", this.#kind, this.#filter, pause),
      this.#list,
      this.#empty,
      this.#opened.element,
    );
  }

  /** Shows what has come since the last time, unless it is to stand still. */
  draw(): void {
    if (this.#pause.checked || this.#isHovered) return;
    this.#entries = this.recorder.entries;
    this.#draw();
  }

  #listen(): void {
    this.#list.addEventListener("pointerenter", () => {
      this.#isHovered = true;
    });
    this.#list.addEventListener("pointerleave", () => {
      this.#isHovered = false;
    });
    this.#list.addEventListener("click", (event) => {
      const line = (event.target as Element).closest("li");
      const entry = line && this.#rows[Array.from(this.#list.children).indexOf(line)];
      if (entry) this.#open(entry);
    });
    this.#list.addEventListener("keydown", (event) => this.#keyDown(event));
  }

  /** Arrows go from the opened message to the one above or below. */
  #keyDown(event: KeyboardEvent): void {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const { entry } = this.#opened;
    const at = (entry ? this.#rows.indexOf(entry) : -1) + step;
    if (!this.#rows[at]) return;
    this.#open(this.#rows[at]);
    this.#list.children[at].scrollIntoView({ block: "nearest" });
  }

  #open(entry: Entry): void {
    this.#opened.show(entry);
    this.#draw();
  }

  #draw(): void {
    const kind = this.#kind.value;
    const text = this.#filter.value.trim().toLowerCase();
    const matches = ({ told }: Entry) => {
      if (!told) return false;
      if (kind === RARE ? STREAM.includes(told.kind) : kind !== "all kinds" && told.kind !== kind) return false;
      return !text || `${told.kind} ${told.tick ?? ""} ${told.text}`.toLowerCase().includes(text);
    };
    for (const entry of this.#entries) tell(entry);
    this.#rows = this.#entries.filter(matches).slice(-MOST_ROWS).reverse();
    const lines = resize(this.#list, this.#rows.length, makeLine);
    this.#rows.forEach((entry, i) => {
      drawLine(lines[i], entry);
      lines[i].classList.toggle("opened", entry === this.#opened.entry);
    });
    this.#empty.hidden = this.#rows.length > 0;
  }
}

/** Sums up a message when it is first to be seen. */
function tell(entry: Entry): void {
  if (entry.told || entry.direction === "note") return;
  entry.told = summarize(entry.bytes, entry.schema, entry.direction, (table) => entry.held[table] ?? NO_IDS);
}

function makeLine(): HTMLLIElement {
  return make("li", "", ...["time", "arrow", "kind", "bytes", "tick", "text"].map((name) => make("span", name)));
}

function drawLine(line: HTMLLIElement, { direction, at, bytes, told }: Entry): void {
  const cells = [
    formatTime(at),
    ARROWS[direction],
    told?.kind === "acknowledge" ? "ack" : (told?.kind ?? ""),
    bytes.length ? String(bytes.length) : "",
    told?.tick ? String(told.tick) : "",
    told?.text ?? "",
  ];
  for (const [i, text] of cells.entries()) write(line.children[i], text);
  line.className = direction;
}
