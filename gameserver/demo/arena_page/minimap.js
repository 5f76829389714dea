// The whole world, small: rocks grey, ships in their colours, and a frame around what the picture shows.

import { WORLD, wrapped } from "./shapes.js";

const EVERY_MS = 50;

export class Minimap {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.paint = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.drawn = 0;
  }

  /**
   * @param {import("./battle.js").Battle} battle
   * @param {import("/extras.js").Snapshots} snapshots
   * @param {import("./camera.js").Camera} camera
   * @param {number} now milliseconds
   */
  draw(battle, snapshots, camera, now) {
    if (now - this.drawn < EVERY_MS) return; // small things need no 60 pictures a second
    this.drawn = now;
    const { paint, canvas } = this;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const size = canvas.clientWidth;
    if (canvas.width !== Math.round(size * ratio)) canvas.width = canvas.height = Math.round(size * ratio);
    const scale = (size / WORLD) * ratio;
    // The camera's place is the middle, as in the picture: the world has no edge to stand at.
    paint.setTransform(scale, 0, 0, scale, canvas.width / 2, canvas.height / 2);
    paint.clearRect(-WORLD / 2, -WORLD / 2, WORLD, WORLD);
    const dot = 1.6 / (size / WORLD);
    paint.fillStyle = "#5d5a70";
    snapshots.each("Asteroid", (place, id) => {
      const radius = battle.rocks.get(id)?.row.radius ?? 0;
      this.dot(wrapped(place.x - camera.x), wrapped(place.y - camera.y), Math.max(dot * 0.8, radius * 0.8));
    });
    paint.strokeStyle = "rgb(226 232 246 / 22%)";
    paint.lineWidth = dot * 0.6;
    paint.strokeRect(-camera.halfWidth, -camera.halfHeight, camera.halfWidth * 2, camera.halfHeight * 2);
    snapshots.each("Ship", (place, id) => {
      const pilot = battle.pilots.get(id);
      if (!pilot || place.hp <= 0) return;
      paint.fillStyle = pilot.colour;
      this.dot(wrapped(place.x - camera.x), wrapped(place.y - camera.y), pilot.row.mine ? dot * 1.7 : dot * 1.25);
    });
  }

  /** @param {number} x @param {number} y @param {number} radius */
  dot(x, y, radius) {
    const { paint } = this;
    paint.beginPath();
    paint.arc(x, y, radius, 0, 2 * Math.PI);
    paint.fill();
  }
}
