// Small graphs of the last values of something, on a canvas.

import { make, write } from "./dom.js";

const HEIGHT = 34; // CSS pixels
const MOST_POINTS = 120;

/** The last values of one figure, drawn from the left, the newest at the right. */
export class Graph {
  readonly element: HTMLElement;
  readonly #canvas = make("canvas");
  readonly #figure = make("span", "figure");
  readonly #values: (number | null)[] = [];

  /**
   * @param format how a value is written
   * @param bars whether each value stands for itself, as a frame's bytes do, or for a moment of what goes on
   */
  constructor(
    name: string,
    private readonly format: (value: number) => string,
    private readonly bars = false,
  ) {
    this.element = make("figure", "", make("figcaption", "", make("span", "", name), this.#figure), this.#canvas);
    this.#canvas.setAttribute("aria-hidden", "true");
  }

  /** Adds a value, null when it is not known. */
  add(value: number | null): void {
    this.#values.push(value);
    if (this.#values.length > MOST_POINTS) this.#values.shift();
  }

  draw(): void {
    const known = this.#values.filter((value) => value !== null);
    const most = Math.max(...known, 0);
    const newest = this.#values.at(-1) ?? null;
    write(
      this.#figure,
      known.length ? `${newest === null ? "-" : this.format(newest)}, most ${this.format(most)}` : "-",
    );
    const context = this.#clear();
    if (context && most > 0) this.#plot(context, most);
  }

  #clear(): CanvasRenderingContext2D | null {
    const canvas = this.#canvas;
    const scale = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * scale);
    const height = Math.round(HEIGHT * scale);
    const context = canvas.getContext("2d");
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    else context?.clearRect(0, 0, width, height);
    return context;
  }

  /** Columns, whose upper ends are a line where they do not stand for themselves. */
  #plot(context: CanvasRenderingContext2D, most: number): void {
    const { width, height } = context.canvas;
    const step = width / MOST_POINTS;
    const from = MOST_POINTS - this.#values.length;
    this.#values.forEach((value, i) => {
      if (value === null) return;
      const tall = Math.max(1, (value / most) * (height - 2));
      const left = Math.round((from + i) * step);
      const wide = Math.round((from + i + 1) * step) - left - (this.bars ? 1 : 0);
      context.fillStyle = this.bars ? "#6fe0ff" : "#6fe0ff44";
      context.fillRect(left, height - tall, Math.max(1, wide), tall);
      context.fillStyle = "#6fe0ff";
      context.fillRect(left, height - tall, Math.max(1, wide), 2);
    });
  }
}
