// How good the connection is: four bars, and figures for who points at them.

import { element, write } from "./page.js";

/** Round trips in seconds below which there are four, three and two bars; up to a tick of each is waiting for the server. */
const ROUND_TRIPS = [0.13, 0.22, 0.35];
/** Seconds between two looks, and looks over which lost pace is counted. */
const EVERY_SECONDS = 0.5;
const LOOKS = 10;
/** An older state than this many ticks costs a bar, and so does losing this share of them. */
const OLD_TICKS = 6;
const LOST_SHARE = 0.05;

export class Quality {
  constructor() {
    this.button = element("quality");
    this.more = element("quality-more");
    /** @type {{ticks: number, merged: number}[]} */
    this.looks = [];
    this.looked = 0;
  }

  /** Another session. */
  clear() {
    this.looks = [];
    this.looked = 0;
  }

  /**
   * @param {import("/client.js").Session} session
   * @param {number} now milliseconds
   */
  draw(session, now) {
    if (now - this.looked < EVERY_SECONDS * 1000) return;
    this.looked = now;
    const { stats, tickRate } = session;
    this.looks.push({ ticks: session.tick, merged: stats.coalescedTicks });
    if (this.looks.length > LOOKS) this.looks.shift();
    const first = this.looks[0];
    const merged = stats.coalescedTicks - first.merged;
    const share = merged / Math.max(1, session.tick - first.ticks);
    const bars = session.connected ? rate(stats.rtt, (stats.stateAge ?? 0) * tickRate, share) : 0;
    this.button.dataset.bars = String(bars);
    const word = ["none", "poor", "fair", "good", "very good"][bars];
    this.button.setAttribute("aria-label", `Connection: ${word}`);
    write(this.more, figures(word, stats, session, share));
  }
}

/**
 * Bars from 1 to 4.
 * @param {number | null} rtt seconds
 * @param {number} oldTicks how old the state is
 * @param {number} lostShare of the states that were merged into later ones
 */
function rate(rtt, oldTicks, lostShare) {
  let bars = 4;
  for (const most of ROUND_TRIPS) if (rtt !== null && rtt > most) bars--;
  if (oldTicks > OLD_TICKS) bars--;
  if (lostShare > LOST_SHARE) bars--;
  return Math.max(1, bars);
}

/**
 * @param {string} word
 * @param {import("/client.js").Stats} stats
 * @param {import("/client.js").Session} session
 * @param {number} share
 */
function figures(word, stats, session, share) {
  const ms = (/** @type {number | null} */ seconds) =>
    seconds === null ? "not known yet" : `${Math.round(seconds * 1000)} ms`;
  return [
    `Connection: ${word}`,
    `Round trip ${ms(stats.rtt)}`,
    `Newest state ${ms(stats.stateAge)} old`,
    `States left out ${(share * 100).toFixed(share ? 1 : 0)} %`,
    `Room ${session.roomId}, ${session.tickRate} states a second`,
  ].join("\n");
}
