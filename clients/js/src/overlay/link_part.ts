// The part about the connection: who and where, what it costs, how fresh it is, and time-lines of that.

import { Kind } from "../wire/messages.js";
import { peekKind } from "./describe.js";
import { make, write } from "./dom.js";
import { formatBytes, formatSeconds } from "./format.js";
import { Graph } from "./graph.js";
import type { Recorder, WatchedSession } from "./recorder.js";
import type { Entry } from "./ring.js";

/** Figures a second are over so many drawings. */
const RATE_SAMPLES = 9;

interface Sample {
  readonly at: number; // seconds
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
}

/** What the session is doing, in a few words. */
export function stateOf(session: WatchedSession | null): string {
  if (!session) return "no session";
  if (session.closed) return `closed ${session.closeCode} ${session.closeReason}`.trim();
  return session.reconnecting ? "reconnecting" : session.joined ? "joined" : "joining";
}

export class LinkPart {
  readonly element = make("section", "link");
  /** The figures that are always seen. */
  brief = "";
  readonly #list = make("dl");
  readonly #figures = new Map<string, HTMLElement>();
  readonly #frameBytes = new Graph("Bytes per frame", formatBytes, true);
  readonly #roundTrip = new Graph("Round trip", formatSeconds);
  readonly #stateAge = new Graph("Age of the state", formatSeconds);
  #samples: Sample[] = [];
  #seen = 0; // number of the newest entry in the graph

  constructor(private readonly recorder: Recorder) {
    const graphs = [this.#frameBytes, this.#roundTrip, this.#stateAge];
    this.element.append(this.#list, ...graphs.map((graph) => graph.element));
  }

  /** Begins anew with another session. */
  reset(): void {
    this.#samples = [];
  }

  /** Takes the figures of now; to be called a few times a second while the overlay is seen. */
  sample(session: WatchedSession, entries: readonly Entry[]): void {
    const { bytesIn, bytesOut, rtt, stateAge } = session.stats;
    const { messagesIn, messagesOut } = this.recorder;
    this.#samples.push({ at: performance.now() / 1000, bytesIn, bytesOut, messagesIn, messagesOut });
    if (this.#samples.length > RATE_SAMPLES) this.#samples.shift();
    for (const { number, direction, bytes } of entries) {
      if (number <= this.#seen) continue;
      this.#seen = number;
      if (direction === "in" && peekKind(bytes) === Kind.FRAME) this.#frameBytes.add(bytes.length);
    }
    this.#roundTrip.add(rtt);
    this.#stateAge.add(stateAge);
    this.brief = `${formatSeconds(rtt)} rtt, ${formatBytes(this.#rate("bytesIn"))}/s in, tick ${session.tick}`;
  }

  draw(session: WatchedSession | null): void {
    if (session) {
      this.#drawSession(session);
      this.#drawTraffic(session);
      this.#drawFreshness(session);
    }
    for (const graph of [this.#frameBytes, this.#roundTrip, this.#stateAge]) graph.draw();
  }

  #drawSession(session: WatchedSession): void {
    const { room, roomId, player, spectator, tick, tickRate } = session;
    this.#set("State", stateOf(session), session.closed || session.reconnecting);
    this.#set("Room", room ? `${room} / ${roomId}` : "-");
    this.#set("Player", player ? `${player}${spectator ? ", only watches" : ""}` : "-");
    this.#set("Tick", `${tick} at ${tickRate ? `${tickRate} Hz` : "no rate"}`);
  }

  #drawTraffic({ stats }: WatchedSession): void {
    const { messagesIn, messagesOut, frameBytes } = this.recorder;
    const told = (bytes: number, messages: number) => `${formatBytes(bytes)}/s, ${messages.toFixed(0)} msg/s`;
    this.#set("In", told(this.#rate("bytesIn"), this.#rate("messagesIn")));
    this.#set("Out", told(this.#rate("bytesOut"), this.#rate("messagesOut")));
    this.#set("Total", `${formatBytes(stats.bytesIn)}, ${messagesIn} msg`);
    this.#set("Total out", `${formatBytes(stats.bytesOut)}, ${messagesOut} msg`);
    this.#set("Last frame", formatBytes(frameBytes));
    this.#set("Frames", `${stats.frames}${stats.framesSkipped ? `, ${stats.framesSkipped} skipped` : ""}`);
  }

  #drawFreshness({ stats }: WatchedSession): void {
    const { inputMargin, desyncs, returns } = stats;
    this.#set("Round trip", formatSeconds(stats.rtt));
    this.#set("Shortest", formatSeconds(stats.rttShortest));
    this.#set("Age of state", formatSeconds(stats.stateAge));
    this.#set("Window", `${stats.windowTicks} ticks`);
    this.#set("Inputs", `${stats.inputsSent} sent, ${stats.inputsApplied} applied`);
    this.#set("Input margin", formatSeconds(inputMargin), inputMargin !== null && inputMargin < 0);
    this.#set("Hashes", `${stats.hashesChecked} checked`);
    this.#set("Desyncs", String(desyncs), desyncs > 0);
    this.#set("Merged ticks", String(stats.coalescedTicks));
    this.#set("Returns", `${returns}${returns ? `, ${formatSeconds(stats.droppedSeconds)} away` : ""}`, returns > 0);
  }

  /** How much a figure grows per second. */
  #rate(figure: keyof Sample): number {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    return first && last && last.at > first.at ? (last[figure] - first[figure]) / (last.at - first.at) : 0;
  }

  #set(name: string, text: string, alarming = false): void {
    let figure = this.#figures.get(name);
    if (!figure) {
      figure = make("dd");
      this.#figures.set(name, figure);
      this.#list.append(make("div", "", make("dt", "", name), figure));
    }
    write(figure, text);
    figure.classList.toggle("alarm", alarming);
  }
}
