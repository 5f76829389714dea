// Draws the arena as it is at the time shown.

import { Camera } from "./camera.js";
import { dark, glow, INNER_FLAME, MINE, OUTER_FLAME, SHIP, wrapped } from "./shapes.js";
import { Sky } from "./sky.js";
import { Sparks } from "./sparks.js";

/** @typedef {import("./battle.js").Battle} Battle */
/** @typedef {import("./battle.js").Happening} Happening */
/** @typedef {import("/extras.js").Snapshots} Snapshots */

/** Above this many device pixels for a CSS pixel nobody sees a difference, and every one costs time. */
const SHARPEST = 2;
const FONT = "600 13px system-ui, sans-serif";
/** How long a bullet's trail is, in ticks of its way. */
const TRAIL_TICKS = 1.6;
/** No bullet is faster, in units per tick. */
const FASTEST = 60;
/** How long rings and numbers are seen, in seconds. */
const RING_SECONDS = 0.6;
const NUMBER_SECONDS = 1.1;

export class View {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.paint = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
    this.camera = new Camera();
    this.sky = new Sky();
    this.sparks = new Sparks();
    /** @type {{x: number, y: number, reach: number, colour: string, age: number}[]} */
    this.rings = [];
    /** @type {{x: number, y: number, text: string, colour: string, age: number}[]} */
    this.numbers = [];
    this.ratio = 1;
    this.time = 0;
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  resize() {
    const width = this.canvas.clientWidth || 1;
    const height = this.canvas.clientHeight || 1;
    this.ratio = Math.min(SHARPEST, window.devicePixelRatio || 1);
    this.canvas.width = Math.round(width * this.ratio);
    this.canvas.height = Math.round(height * this.ratio);
    this.camera.resize(width, height);
    this.sky.resize(width, height, this.ratio);
  }

  /** Whether a place is in the picture, or as near to it as `margin`. @param {number} x @param {number} y */
  sees(x, y, margin = 0) {
    const { camera } = this;
    return (
      Math.abs(wrapped(x - camera.x)) < camera.halfWidth + margin &&
      Math.abs(wrapped(y - camera.y)) < camera.halfHeight + margin
    );
  }

  /**
   * Nobody plays: only the sky, slowly passing.
   * @param {number} seconds since the last time
   */
  drawSky(seconds) {
    this.time += seconds;
    this.camera.x += 26 * seconds;
    this.camera.y -= 11 * seconds;
    if (this.ratio !== Math.min(SHARPEST, window.devicePixelRatio || 1)) this.resize();
    this.paint.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.sky.draw(this.paint, this.camera.x, this.camera.y, this.camera.scale);
  }

  /**
   * @param {Battle} battle
   * @param {Snapshots} snapshots
   * @param {number} seconds since the last time
   */
  draw(battle, snapshots, seconds) {
    const { paint, camera, ratio } = this;
    this.time += seconds;
    camera.advance(seconds);
    if (ratio !== Math.min(SHARPEST, window.devicePixelRatio || 1)) this.resize(); // moved to another screen, or zoomed
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.sky.draw(paint, camera.x + camera.shakeX, camera.y + camera.shakeY, camera.scale);
    this.drawRocks(battle, snapshots);
    this.enter(0, 0);
    paint.globalCompositeOperation = "lighter";
    this.drawShots(battle, snapshots);
    this.enter(0, 0);
    this.sparks.draw(paint, camera, seconds);
    this.drawRings(seconds);
    paint.globalCompositeOperation = "source-over";
    this.drawShips(battle, snapshots, seconds);
    this.drawNames(battle, snapshots);
    this.drawNumbers(seconds);
  }

  /** Let drawing go on at a place given from the camera's, in units. @param {number} x @param {number} y */
  enter(x, y, size = 1, angle = 0) {
    const { camera, ratio } = this;
    const scale = camera.scale * ratio;
    const cos = Math.cos(angle) * scale * size;
    const sin = Math.sin(angle) * scale * size;
    const left = (camera.halfWidth + x - camera.shakeX) * scale;
    const top = (camera.halfHeight + y - camera.shakeY) * scale;
    this.paint.setTransform(cos, sin, -sin, cos, left, top);
  }

  /** @param {Battle} battle @param {Snapshots} snapshots */
  drawRocks(battle, snapshots) {
    const { paint, camera } = this;
    paint.lineJoin = "round";
    snapshots.each("Asteroid", (place, id) => {
      const rock = battle.rocks.get(id);
      if (!rock) return;
      const { radius } = rock.row;
      if (!this.sees(place.x, place.y, radius)) return;
      this.enter(wrapped(place.x - camera.x), wrapped(place.y - camera.y), radius, this.time * rock.spin);
      paint.fillStyle = rock.fill;
      paint.fill(rock.outline);
      paint.fillStyle = "rgb(255 255 255 / 5%)";
      paint.fill(rock.light);
      paint.fillStyle = "rgb(0 0 0 / 20%)";
      paint.fill(rock.craters);
      paint.strokeStyle = "#7a7484";
      paint.lineWidth = 1.6 / radius;
      paint.stroke(rock.outline);
    });
  }

  /** @param {Battle} battle @param {Snapshots} snapshots */
  drawShots(battle, snapshots) {
    const { paint, camera } = this;
    const now = snapshots.tick ?? 0;
    paint.lineCap = "round";
    snapshots.each("Bullet", (place, id) => {
      const shot = battle.shots.get(id);
      if (!shot) return;
      const ticks = measure(shot, place, now);
      if (!this.sees(place.x, place.y, 60)) return;
      const x = wrapped(place.x - camera.x);
      const y = wrapped(place.y - camera.y);
      const trail = Math.min(ticks, TRAIL_TICKS);
      paint.drawImage(glow(shot.colour), x - 14, y - 14, 28, 28);
      paint.strokeStyle = shot.colour;
      this.line(x, y, x - shot.vx * trail, y - shot.vy * trail, 2.5, 0.35);
      this.line(x, y, x - shot.vx * trail * 0.4, y - shot.vy * trail * 0.4, 3, 0.9);
      paint.globalAlpha = 1;
      paint.fillStyle = "#fff";
      paint.fillRect(x - 1.5, y - 1.5, 3, 3);
    });
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} endX
   * @param {number} endY
   * @param {number} width
   * @param {number} alpha
   */
  line(x, y, endX, endY, width, alpha) {
    const { paint } = this;
    paint.globalAlpha = alpha;
    paint.lineWidth = width;
    paint.beginPath();
    paint.moveTo(x, y);
    paint.lineTo(endX, endY);
    paint.stroke();
  }

  /** @param {Battle} battle @param {Snapshots} snapshots @param {number} seconds */
  drawShips(battle, snapshots, seconds) {
    const { paint, camera, sparks } = this;
    snapshots.each("Ship", (place, id) => {
      const pilot = battle.pilots.get(id);
      if (!pilot || place.hp <= 0 || !this.sees(place.x, place.y, 40)) return;
      const { row, colour } = pilot;
      this.enter(wrapped(place.x - camera.x), wrapped(place.y - camera.y), 1, place.heading);
      if (row.mine) {
        paint.globalAlpha = 0.35;
        paint.drawImage(glow(MINE), -34, -34, 68, 68);
        paint.globalAlpha = 1;
      }
      if (row.thrusting) this.drawFlame();
      paint.fillStyle = dark(colour);
      paint.fill(SHIP);
      if (pilot.flash > 0.02) {
        paint.fillStyle = `rgb(255 255 255 / ${pilot.flash})`;
        paint.fill(SHIP);
      }
      paint.strokeStyle = colour;
      paint.lineWidth = 1.8;
      paint.stroke(SHIP);
      if (row.thrusting && Math.random() < 40 * seconds) {
        const angle = place.heading + Math.PI + (Math.random() - 0.5) * 0.5;
        const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
        sparks.add(place.x + cos * 14, place.y + sin * 14, cos * 130, sin * 130, 0.45, 2, "#ff9a4d");
      }
      pilot.flash *= Math.exp(-9 * seconds);
    });
  }

  drawFlame() {
    const { paint } = this;
    const length = 0.75 + Math.random() * 0.4;
    paint.save();
    paint.transform(length, 0, 0, 1, 8 * length - 8, 0);
    paint.globalCompositeOperation = "lighter";
    paint.fillStyle = "#ff7830";
    paint.fill(OUTER_FLAME);
    paint.fillStyle = "#ffe28c";
    paint.fill(INNER_FLAME);
    paint.restore();
  }

  /** Names and health: they do not turn with their ships. @param {Battle} battle @param {Snapshots} snapshots */
  drawNames(battle, snapshots) {
    const { paint, camera } = this;
    this.enter(0, 0);
    paint.font = FONT;
    paint.textAlign = "center";
    snapshots.each("Ship", (place, id) => {
      const pilot = battle.pilots.get(id);
      if (!pilot || place.hp <= 0 || !this.sees(place.x, place.y, 60)) return;
      const x = wrapped(place.x - camera.x);
      const y = wrapped(place.y - camera.y);
      paint.fillStyle = pilot.row.mine ? "#e2e8f6" : "#a3aece";
      paint.fillText(pilot.name, x, y - 26);
      paint.fillStyle = "rgb(22 27 46 / 80%)";
      paint.fillRect(x - 20, y + 23, 40, 4);
      paint.fillStyle = place.hp > 35 ? "#62d68c" : "#ff6b6b";
      paint.fillRect(x - 20, y + 23, place.hp * 0.4, 4);
    });
  }

  /** @param {number} seconds */
  drawRings(seconds) {
    const { paint, camera } = this;
    for (const ring of this.rings) {
      ring.age += seconds / RING_SECONDS;
      if (ring.age >= 1) continue;
      const x = wrapped(ring.x - camera.x);
      const y = wrapped(ring.y - camera.y);
      const out = 1 - (1 - ring.age) ** 3;
      paint.globalAlpha = (1 - ring.age) * 0.9;
      paint.strokeStyle = ring.colour;
      paint.lineWidth = 1 + 5 * (1 - ring.age);
      paint.beginPath();
      paint.arc(x, y, ring.reach * out, 0, 2 * Math.PI);
      paint.stroke();
      const size = ring.reach * 2.2;
      paint.globalAlpha = (1 - ring.age) ** 2;
      paint.drawImage(glow(ring.colour), x - size / 2, y - size / 2, size, size);
    }
    paint.globalAlpha = 1;
    if (this.rings.length && this.rings[0].age >= 1) this.rings.shift();
  }

  /** @param {number} seconds */
  drawNumbers(seconds) {
    const { paint, camera } = this;
    paint.font = "700 17px system-ui, sans-serif";
    for (const number of this.numbers) {
      number.age += seconds / NUMBER_SECONDS;
      if (number.age >= 1) continue;
      paint.globalAlpha = 1 - number.age ** 2;
      paint.fillStyle = number.colour;
      paint.fillText(number.text, wrapped(number.x - camera.x), wrapped(number.y - camera.y) - 44 - 30 * number.age);
    }
    paint.globalAlpha = 1;
    if (this.numbers.length && this.numbers[0].age >= 1) this.numbers.shift();
  }

  /**
   * Show what has happened.
   * @param {Happening} happening
   * @param {Battle} battle
   */
  show(happening, battle) {
    const { kind, id, x, y, colour, amount } = happening;
    const pilot = battle.pilots.get(id);
    if (kind === "shot") this.sparks.burst(x, y, 3, 60, colour, 0.25);
    else if (kind === "chip") this.sparks.burst(x, y, 8, 120, colour, 0.6);
    else if (kind === "break") this.shatter(happening);
    else if (kind === "back") this.rings.push({ x, y, reach: 44, colour, age: 0 });
    else if (kind === "score") this.numbers.push({ x, y, text: `+${amount}`, colour: "#ffe896", age: 0 });
    else {
      if (pilot) pilot.flash = 1;
      this.sparks.burst(x, y, 10, 160, "#ffffff", 0.4);
      if (pilot?.row.mine) this.camera.shake(kind === "kill" ? 14 : 5);
      if (kind === "kill") this.explode(x, y, colour);
    }
  }

  /** @param {number} x @param {number} y @param {string} colour */
  explode(x, y, colour) {
    this.rings.push({ x, y, reach: 90, colour: "#ffb05c", age: 0 }, { x, y, reach: 52, colour, age: 0 });
    this.sparks.burst(x, y, 40, 260, "#ffb05c");
    this.sparks.burst(x, y, 22, 190, colour, 1.3);
    this.sparks.burst(x, y, 12, 90, "#fff2c9", 0.5);
  }

  /** @param {Happening} happening */
  shatter({ x, y, amount, colour }) {
    this.sparks.burst(x, y, 8 + Math.round(amount / 2), 60 + amount * 2, colour, 1);
    this.sparks.burst(x, y, 6, 80, "#d8d2e2", 0.6);
    if (amount > 20) this.rings.push({ x, y, reach: amount * 1.3, colour: "#8a8496", age: 0 });
  }
}

/**
 * How fast a bullet flies, by where it was seen first; gives how long ago that was, in ticks.
 * @param {import("./battle.js").Shot} shot
 * @param {Readonly<Record<string, number>>} place
 * @param {number} now the tick shown
 */
function measure(shot, place, now) {
  const ticks = shot.tick === null ? 0 : now - shot.tick;
  if (ticks > 0.5) {
    shot.vx = wrapped(place.x - shot.x) / ticks;
    shot.vy = wrapped(place.y - shot.y) / ticks;
    if (Math.hypot(shot.vx, shot.vy) < FASTEST) return ticks;
  } else if (shot.tick !== null) return ticks;
  // New, or the first sight was of a bullet before it that had the same id.
  Object.assign(shot, { tick: now, x: place.x, y: place.y, vx: 0, vy: 0 });
  return 0;
}
