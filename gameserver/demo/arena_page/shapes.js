// Colours and outlines of what is in the arena.

/** Width and height of the world, whose edges wrap. */
export const WORLD = 2000;

export const MINE = "#70e2ff";
const OTHERS = ["#ff9e64", "#bb9af7", "#9ece6a", "#f7768e", "#e0af68", "#f0dc5a", "#73daca", "#ff8fd2"];

/** A ship, its nose to the right. */
export const SHIP = new Path2D("M17 0 L-12 10 L-7 0 L-12 -10 Z");
export const OUTER_FLAME = new Path2D("M-8 6 L-34 0 L-8 -6 Z");
export const INNER_FLAME = new Path2D("M-8 3 L-22 0 L-8 -3 Z");

/**
 * The shortest way round the world for a way along one axis.
 * @param {number} way
 */
export function wrapped(way) {
  return way - WORLD * Math.round(way / WORLD);
}

/**
 * A colour for a player, for as long as its number stays.
 * @param {{mine: boolean, owner: number}} row
 */
export function colourOf(row) {
  return row.mine ? MINE : OTHERS[row.owner % OTHERS.length];
}

/** @type {Map<string, string>} */
const darkened = new Map();

/**
 * A dark tone of a colour like #aabbcc, to fill what has an outline in it.
 * @param {string} colour
 */
export function dark(colour) {
  const found = darkened.get(colour);
  if (found) return found;
  const parts = [1, 3, 5].map((at) => Math.round(Number.parseInt(colour.slice(at, at + 2), 16) * 0.3));
  const made = `rgb(${parts.join(" ")})`;
  darkened.set(colour, made);
  return made;
}

/**
 * Numbers from 0 to below 1 that are the same each time: a rock looks the same to everybody (mulberry32, Tommy Ettinger).
 * @param {number} seed
 */
export function chance(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * @typedef {object} Rock
 * @property {Path2D} outline of radius 1
 * @property {Path2D} light the side that is lit
 * @property {Path2D} craters
 * @property {number} spin radians per second
 * @property {string} fill
 */

/**
 * How the asteroid of an id looks.
 * @param {number} id
 * @returns {Rock}
 */
export function makeRock(id) {
  const random = chance(id * 2654435761);
  const corners = 10 + Math.floor(random() * 4);
  /** @type {[number, number][]} */
  const points = [];
  for (let i = 0; i < corners; i++) {
    const reach = 0.82 + random() * 0.26;
    const angle = ((i + random() * 0.5) / corners) * 2 * Math.PI;
    points.push([Math.cos(angle) * reach, Math.sin(angle) * reach]);
  }
  const craters = new Path2D();
  for (let i = 0; i < 3; i++) {
    const angle = random() * 2 * Math.PI;
    const away = 0.25 + random() * 0.35;
    const radius = 0.1 + random() * 0.13;
    craters.moveTo(Math.cos(angle) * away + radius, Math.sin(angle) * away);
    craters.arc(Math.cos(angle) * away, Math.sin(angle) * away, radius, 0, 2 * Math.PI);
  }
  const tone = Math.round(random() * 8);
  return {
    outline: polygon(points, 1, 0),
    light: polygon(points, 0.72, -0.1),
    craters,
    spin: (random() - 0.5) * 0.9,
    fill: `rgb(${40 + tone} ${38 + tone} ${52 + tone})`,
  };
}

/**
 * @param {[number, number][]} points
 * @param {number} scale
 * @param {number} shift
 */
function polygon(points, scale, shift) {
  const path = new Path2D();
  for (const [x, y] of points) path.lineTo(x * scale + shift, y * scale + shift);
  path.closePath();
  return path;
}

/** @type {Map<string, HTMLCanvasElement>} */
const glows = new Map();

/**
 * A soft round light, 64 pixels wide.
 * @param {string} colour
 */
export function glow(colour) {
  const found = glows.get(colour);
  if (found) return found;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const paint = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const light = paint.createRadialGradient(32, 32, 0, 32, 32, 32);
  light.addColorStop(0, colour);
  light.addColorStop(0.25, `${colour}88`);
  light.addColorStop(1, `${colour}00`);
  paint.fillStyle = light;
  paint.fillRect(0, 0, 64, 64);
  glows.set(colour, canvas);
  return canvas;
}
