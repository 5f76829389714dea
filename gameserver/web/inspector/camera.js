// Which part of the world the map shows.

/** @typedef {{left: number, top: number, right: number, bottom: number}} Bounds */

/** Pixels around what is shown as a whole. */
const MARGIN = 20;
/** Share of the way to its goal that the camera makes in a second is 1 - exp(-this). */
const PULL = 8;
/** A world that is not wider than this is shown with some space around. */
const LEAST_WIDTH = 4;
const LEAST_SCALE = 1e-6;
const MOST_SCALE = 1e4;

export class Camera {
  constructor() {
    /** Pixels of the screen. */
    this.width = 1;
    this.height = 1;
    /** The middle of the picture, in the world. */
    this.x = 0;
    this.y = 0;
    /** Pixels for a unit of the world. */
    this.scale = 1;
    /** 1: y grows downwards, as on screens; -1: upwards, as in mathematics. */
    this.down = 1;
    /** Whether it has been anywhere; the first time it does not travel. */
    this.isPlaced = false;
  }

  /** @param {number} x */
  screenX(x) {
    return this.width / 2 + (x - this.x) * this.scale;
  }

  /** @param {number} y */
  screenY(y) {
    return this.height / 2 + (y - this.y) * this.scale * this.down;
  }

  /** @param {number} pixels */
  worldX(pixels) {
    return this.x + (pixels - this.width / 2) / this.scale;
  }

  /** @param {number} pixels */
  worldY(pixels) {
    return this.y + ((pixels - this.height / 2) / this.scale) * this.down;
  }

  /** Show all of `bounds`. @param {Bounds} bounds @param {number} seconds since the last time */
  fit({ left, top, right, bottom }, seconds) {
    const width = Math.max(right - left, LEAST_WIDTH);
    const height = Math.max(bottom - top, LEAST_WIDTH);
    const wide = Math.max(this.width - 2 * MARGIN, 40);
    const high = Math.max(this.height - 2 * MARGIN, 40);
    const scale = Math.min(wide / width, high / height);
    const share = this.share(seconds);
    this.scale = this.isPlaced ? this.scale * (scale / this.scale) ** share : scale;
    this.go((left + right) / 2, (top + bottom) / 2, share);
  }

  /** Have a place in the middle. @param {number} x @param {number} y @param {number} seconds */
  follow(x, y, seconds) {
    this.go(x, y, this.share(seconds));
  }

  /** @param {number} seconds */
  share(seconds) {
    return this.isPlaced ? 1 - Math.exp(-PULL * seconds) : 1;
  }

  /** @param {number} x @param {number} y @param {number} share */
  go(x, y, share) {
    this.x += (x - this.x) * share;
    this.y += (y - this.y) * share;
    this.isPlaced = true;
  }

  /** @param {number} dx pixels @param {number} dy */
  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y -= (dy / this.scale) * this.down;
  }

  /** @param {number} factor @param {number} atX pixels; what is there stays there @param {number} atY */
  zoom(factor, atX = this.width / 2, atY = this.height / 2) {
    const x = this.worldX(atX);
    const y = this.worldY(atY);
    this.scale = Math.min(MOST_SCALE, Math.max(LEAST_SCALE, this.scale * factor));
    this.x += x - this.worldX(atX);
    this.y += y - this.worldY(atY);
  }
}
