// Where the picture is: follows a ship over a world whose edges wrap.

import { WORLD, wrapped } from "./shapes.js";

/** Share of the way to its goal that the camera makes in a second is 1 - exp(-this). */
const PULL = 7;
/** The picture shows so much of the world on a screen of any size, in square units: nobody sees more than others. */
const AREA = 1180 * 740;
/** The world's copies must not meet in the picture. */
const WIDEST = WORLD - 120;
/** Whether people ask for less motion; they may change their minds at any time. */
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Camera {
  constructor() {
    /** The middle of the picture, not wrapped, so that stars pass without a jump at the edge of the world. */
    this.x = WORLD / 2;
    this.y = WORLD / 2;
    /** Pixels of the screen for a unit of the world. */
    this.scale = 1;
    /** Half of the picture, in units of the world. */
    this.halfWidth = 590;
    this.halfHeight = 370;
    this.shakes = 0;
    this.shakeX = 0;
    this.shakeY = 0;
  }

  /**
   * The screen has another size, in CSS pixels.
   * @param {number} width
   * @param {number} height
   */
  resize(width, height) {
    const fair = Math.sqrt((width * height) / AREA);
    this.scale = Math.max(fair, width / WIDEST, height / WIDEST, 0.5);
    this.halfWidth = width / 2 / this.scale;
    this.halfHeight = height / 2 / this.scale;
  }

  /**
   * Go towards a place, by the short way.
   * @param {number} x
   * @param {number} y
   * @param {number} seconds since the last time
   */
  follow(x, y, seconds) {
    const share = 1 - Math.exp(-PULL * seconds);
    this.x += wrapped(x - this.x) * share;
    this.y += wrapped(y - this.y) * share;
  }

  /** @param {number} strength in units of the world */
  shake(strength) {
    if (!calm.matches) this.shakes = Math.min(16, this.shakes + strength);
  }

  /** @param {number} seconds since the last time */
  advance(seconds) {
    this.shakes *= Math.exp(-6 * seconds);
    this.shakeX = (Math.random() - 0.5) * this.shakes;
    this.shakeY = (Math.random() - 0.5) * this.shakes;
  }
}
