// Particles: sparks, smoke and dust, in arrays that are made once.

import { wrapped } from "./shapes.js";

const MOST = 1200;

export class Sparks {
  constructor() {
    this.x = new Float32Array(MOST);
    this.y = new Float32Array(MOST);
    this.vx = new Float32Array(MOST);
    this.vy = new Float32Array(MOST);
    this.left = new Float32Array(MOST);
    this.life = new Float32Array(MOST);
    this.size = new Float32Array(MOST);
    /** @type {string[]} */
    this.colour = new Array(MOST).fill("");
    this.next = 0;
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} vx units per second
   * @param {number} vy
   * @param {number} seconds that it is seen
   * @param {number} size in units
   * @param {string} colour
   */
  add(x, y, vx, vy, seconds, size, colour) {
    const i = this.next;
    this.next = (i + 1) % MOST; // the oldest goes
    this.x[i] = x;
    this.y[i] = y;
    this.vx[i] = vx;
    this.vy[i] = vy;
    this.left[i] = this.life[i] = seconds;
    this.size[i] = size;
    this.colour[i] = colour;
  }

  /**
   * Many at once, in all directions.
   * @param {number} x
   * @param {number} y
   * @param {number} count
   * @param {number} speed of the fastest, units per second
   * @param {string} colour
   * @param {number} [seconds] that the longest is seen
   */
  burst(x, y, count, speed, colour, seconds = 0.9) {
    for (let i = 0; i < count; i++) {
      const angle = Math.random() * 2 * Math.PI;
      const fast = speed * (0.1 + 0.9 * Math.random());
      const life = seconds * (0.35 + 0.65 * Math.random());
      this.add(x, y, Math.cos(angle) * fast, Math.sin(angle) * fast, life, 1.5 + Math.random() * 2, colour);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} paint whose middle is the camera's place
   * @param {import("./camera.js").Camera} camera
   * @param {number} seconds since the last time
   */
  draw(paint, camera, seconds) {
    const slower = Math.exp(-1.6 * seconds);
    for (let i = 0; i < MOST; i++) {
      if (this.left[i] <= 0) continue;
      this.left[i] -= seconds;
      this.x[i] += this.vx[i] * seconds;
      this.y[i] += this.vy[i] * seconds;
      this.vx[i] *= slower;
      this.vy[i] *= slower;
      const x = wrapped(this.x[i] - camera.x);
      const y = wrapped(this.y[i] - camera.y);
      if (Math.abs(x) > camera.halfWidth || Math.abs(y) > camera.halfHeight) continue;
      const size = this.size[i];
      paint.globalAlpha = Math.max(0, Math.min(1, (this.left[i] / this.life[i]) * 1.4));
      paint.fillStyle = this.colour[i];
      paint.fillRect(x - size / 2, y - size / 2, size, size);
    }
    paint.globalAlpha = 1;
  }
}
