// Sounds, made on the spot: no files to load.

import { element, memory } from "./page.js";

const ON =
  '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M2 6v4h3l4 3V3L5 6ZM11.5 5.5a3.5 3.5 0 0 1 0 5M13.5 3.5a6.5 6.5 0 0 1 0 9"/></svg>';
const OFF = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M2 6v4h3l4 3V3L5 6ZM11.5 6l3 4M14.5 6l-3 4"/></svg>';
/** No more at once: fifty ships shooting are only noise. */
const MOST = 10;

export class Sounds {
  constructor() {
    /** @type {AudioContext | null} */
    this.context = null;
    /** @type {AudioBuffer | null} */
    this.noise = null;
    this.playing = 0;
    this.button = element("sound");
    this.on = memory.get("arena.sound") !== "off";
    this.button.addEventListener("click", () => this.toggle());
    this.show();
  }

  toggle() {
    this.on = !this.on;
    memory.set("arena.sound", this.on ? "on" : "off");
    this.show();
  }

  show() {
    this.button.innerHTML = this.on ? ON : OFF;
    this.button.setAttribute("aria-pressed", String(this.on));
  }

  /** Browsers let a page make sounds only from a click or a key on. */
  wake() {
    if (!this.on || typeof AudioContext === "undefined" || !navigator.userActivation?.hasBeenActive) return;
    this.context ??= new AudioContext();
    if (this.context.state === "suspended") this.context.resume().catch(() => {});
  }

  /**
   * @param {import("./battle.js").Happening["kind"]} kind
   * @param {number} volume from 0 to 1
   */
  play(kind, volume) {
    const { context } = this;
    if (!this.on || !context || context.state !== "running" || this.playing >= MOST || volume < 0.03) return;
    if (kind === "shot") this.tone(context, "square", 880, 160, 0.09, volume * 0.05);
    else if (kind === "hit") this.tone(context, "sawtooth", 240, 70, 0.12, volume * 0.12);
    else if (kind === "kill") this.rumble(context, 900, 0.8, volume * 0.5);
    else if (kind === "break") this.rumble(context, 420, 0.4, volume * 0.25);
    else if (kind === "chip") this.rumble(context, 1400, 0.07, volume * 0.1);
    else if (kind === "back") this.tone(context, "sine", 260, 780, 0.3, volume * 0.1);
    else if (kind === "score") this.tone(context, "triangle", 660, 1320, 0.16, volume * 0.12);
  }

  /**
   * @param {AudioContext} context
   * @param {OscillatorType} type
   * @param {number} from hertz
   * @param {number} to
   * @param {number} seconds
   * @param {number} volume
   */
  tone(context, type, from, to, seconds, volume) {
    const source = context.createOscillator();
    source.type = type;
    source.frequency.setValueAtTime(from, context.currentTime);
    source.frequency.exponentialRampToValueAtTime(to, context.currentTime + seconds);
    this.fade(context, source, source, seconds, volume);
  }

  /** @param {AudioContext} context @param {number} hertz @param {number} seconds @param {number} volume */
  rumble(context, hertz, seconds, volume) {
    const source = context.createBufferSource();
    source.buffer = this.noise ??= makeNoise(context);
    const filter = context.createBiquadFilter();
    filter.type = "lowpass";
    filter.frequency.setValueAtTime(hertz, context.currentTime);
    filter.frequency.exponentialRampToValueAtTime(60, context.currentTime + seconds);
    source.connect(filter);
    this.fade(context, source, filter, seconds, volume);
  }

  /**
   * @param {AudioContext} context
   * @param {AudioScheduledSourceNode} source
   * @param {AudioNode} last
   * @param {number} seconds
   * @param {number} volume
   */
  fade(context, source, last, seconds, volume) {
    const gain = context.createGain();
    gain.gain.setValueAtTime(volume, context.currentTime);
    gain.gain.exponentialRampToValueAtTime(0.0005, context.currentTime + seconds);
    last.connect(gain).connect(context.destination);
    this.playing++;
    source.onended = () => {
      this.playing--;
      gain.disconnect();
    };
    source.start();
    source.stop(context.currentTime + seconds);
  }
}

/** @param {AudioContext} context */
function makeNoise(context) {
  const buffer = context.createBuffer(1, context.sampleRate, context.sampleRate);
  const samples = buffer.getChannelData(0);
  for (let i = 0; i < samples.length; i++) samples[i] = Math.random() * 2 - 1;
  return buffer;
}
