// Draws the map: the world's edges and grid, and each entity as a dot with its heading, ring and name.

/** @typedef {import("./camera.js").Camera} Camera */
/** @typedef {import("./points.js").Points} Points */
/** @typedef {{table: string, id: number}} Selected */

const SKY = "#090b16";
const FIELD = "#0e1220";
const LINE = "rgb(126 138 170 / 14%)";
const EDGE = "rgb(126 138 170 / 55%)";
const DIM = "#7783a5";
const TEXT = "#e2e8f6";
const MINE = "#70e2ff";
const CHOSEN = "#ffffff";
/** Pixels: of a dot without a size, of the smallest one, and between lines of the grid at least. */
const DOT = 5;
const LEAST_DOT = 2.5;
const GRID = 70;
/** More names than this would hide the map: then there are those of own and selected entities alone. */
const MOST_LABELS = 120;
/** More entities than this are drawn as simple dots. */
const CROWD = 300;
/** Pixels of a simple dot's picture, and of the radius of the dot in it. */
const STAMP = 48;
const STAMP_DOT = 8;
/** Characters of a name. */
const LABEL = 24;

/**
 * The world behind the entities.
 * @param {CanvasRenderingContext2D} pen
 * @param {Camera} camera
 * @param {import("./camera.js").Bounds | null} bounds
 */
export function paintWorld(pen, camera, bounds) {
  const { width, height } = camera;
  pen.fillStyle = bounds ? SKY : FIELD;
  pen.fillRect(0, 0, width, height);
  let [left, top, right, bottom] = [0, 0, width, height];
  if (bounds) {
    [left, right] = [camera.screenX(bounds.left), camera.screenX(bounds.right)];
    [top, bottom] = [camera.screenY(bounds.top), camera.screenY(bounds.bottom)].sort((one, other) => one - other);
    pen.fillStyle = FIELD;
    pen.fillRect(left, top, right - left, bottom - top);
  }
  paintGrid(pen, camera, Math.max(0, left), Math.max(0, top), Math.min(width, right), Math.min(height, bottom));
  if (bounds) {
    pen.strokeStyle = EDGE;
    pen.lineWidth = 1;
    pen.strokeRect(left, top, right - left, bottom - top);
  }
}

/**
 * Lines at round numbers, with the numbers.
 * @param {CanvasRenderingContext2D} pen
 * @param {Camera} camera
 * @param {number} left pixels of the part that has lines
 * @param {number} top
 * @param {number} right
 * @param {number} bottom
 */
function paintGrid(pen, camera, left, top, right, bottom) {
  if (right <= left || bottom <= top) return;
  const step = roundStep(GRID / camera.scale);
  const [fromX, toX] = [camera.worldX(left), camera.worldX(right)];
  const [fromY, toY] = [camera.worldY(top), camera.worldY(bottom)].sort((one, other) => one - other);
  pen.strokeStyle = LINE;
  pen.fillStyle = DIM;
  pen.lineWidth = 1;
  pen.font = "10px system-ui, sans-serif";
  pen.textBaseline = "bottom";
  pen.textAlign = "left";
  pen.beginPath();
  for (let n = Math.ceil(fromX / step); n * step <= toX; n++) {
    const x = Math.round(camera.screenX(n * step)) + 0.5;
    pen.moveTo(x, top);
    pen.lineTo(x, bottom);
    if (right - x > 30) pen.fillText(label(n * step), x + 3, bottom - 2);
  }
  for (let n = Math.ceil(fromY / step); n * step <= toY; n++) {
    const y = Math.round(camera.screenY(n * step)) + 0.5;
    pen.moveTo(left, y);
    pen.lineTo(right, y);
    if (y - top > 16 && bottom - y > 16) pen.fillText(label(n * step), left + 3, y - 1);
  }
  pen.stroke();
}

/** @param {number} value */
function label(value) {
  return String(Number(value.toPrecision(6)));
}

/** The next of 1, 2, 5, 10, 20... above. @param {number} least */
function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5].find((factor) => factor * power >= least) ?? 10);
}

/**
 * All entities of one table.
 * @param {CanvasRenderingContext2D} pen
 * @param {Camera} camera
 * @param {Points} points
 * @param {Selected | null} selected
 * @param {boolean} names whether there is room for names
 */
export function paintPoints(pen, camera, points, selected, names) {
  if (points.count > CROWD) paintCrowd(pen, camera, points);
  else paintFew(pen, camera, points);
  paintRings(pen, camera, points, selected);
  if (points.shape.label) paintLabels(pen, camera, points, selected, names);
}

/** @param {CanvasRenderingContext2D} pen @param {Camera} camera @param {Points} points */
function paintFew(pen, camera, points) {
  const { count, xs, ys, angles, shape } = points;
  const dots = new Path2D();
  const lines = new Path2D();
  for (let i = 0; i < count; i++) {
    const x = camera.screenX(xs[i]);
    const y = camera.screenY(ys[i]);
    const size = dotSize(points, i, camera);
    if (isOutside(camera, x, y, size + 12)) continue;
    dots.moveTo(x + size, y);
    dots.arc(x, y, size, 0, 2 * Math.PI);
    if (!shape.angle) continue;
    lines.moveTo(x, y);
    lines.lineTo(x + Math.cos(angles[i]) * (size + 7), y + Math.sin(angles[i]) * (size + 7) * camera.down);
  }
  pen.fillStyle = `${shape.colour}55`;
  pen.fill(dots);
  pen.strokeStyle = shape.colour;
  pen.lineWidth = 1.5;
  pen.stroke(dots);
  pen.lineWidth = 2;
  pen.stroke(lines);
}

/**
 * As copies of one small picture: without a graphics card a path of a thousand circles takes up to twice as long.
 * @param {CanvasRenderingContext2D} pen
 * @param {Camera} camera
 * @param {Points} points
 */
function paintCrowd(pen, camera, points) {
  const { count, xs, ys, angles, shape } = points;
  const stamp = stampOf(shape.colour, shape.angle !== null);
  const before = pen.getTransform();
  for (let i = 0; i < count; i++) {
    const x = camera.screenX(xs[i]);
    const y = camera.screenY(ys[i]);
    const size = dotSize(points, i, camera);
    if (isOutside(camera, x, y, size * 3)) continue;
    const factor = (before.a * size) / STAMP_DOT;
    const along = Math.cos(angles[i]) * factor;
    const across = Math.sin(angles[i]) * factor * camera.down;
    pen.setTransform(along, across, -across, along, x * before.a, y * before.a);
    pen.drawImage(stamp, -STAMP / 2, -STAMP / 2);
  }
  pen.setTransform(before);
}

/** By colour, with and without a line ahead. @type {Map<string, HTMLCanvasElement>} */
const stamps = new Map();

/** A dot, maybe with a line to the right. @param {string} colour @param {boolean} points */
function stampOf(colour, points) {
  const key = `${colour} ${points}`;
  const known = stamps.get(key);
  if (known) return known;
  const stamp = document.createElement("canvas");
  stamp.width = stamp.height = STAMP;
  const pen = /** @type {CanvasRenderingContext2D} */ (stamp.getContext("2d"));
  pen.translate(STAMP / 2, STAMP / 2);
  pen.fillStyle = pen.strokeStyle = colour;
  pen.lineWidth = STAMP_DOT / 2;
  pen.arc(0, 0, STAMP_DOT, 0, 2 * Math.PI);
  pen.fill();
  pen.beginPath();
  pen.moveTo(0, 0);
  if (points) pen.lineTo(STAMP / 2, 0);
  pen.stroke();
  stamps.set(key, stamp);
  return stamp;
}

/**
 * Around own entities, and around the selected one.
 * @param {CanvasRenderingContext2D} pen
 * @param {Camera} camera
 * @param {Points} points
 * @param {Selected | null} selected
 */
function paintRings(pen, camera, points, selected) {
  const { count, xs, ys, ids, mine, shape } = points;
  const chosen = selected?.table === shape.table.name ? selected.id : -1;
  for (let i = 0; i < count; i++) {
    if (!mine[i] && ids[i] !== chosen) continue;
    pen.beginPath();
    pen.strokeStyle = ids[i] === chosen ? CHOSEN : MINE;
    pen.setLineDash(ids[i] === chosen ? [4, 3] : []);
    const size = dotSize(points, i, camera) + (ids[i] === chosen && mine[i] ? 7 : 4);
    pen.arc(camera.screenX(xs[i]), camera.screenY(ys[i]), size, 0, 2 * Math.PI);
    pen.stroke();
  }
  pen.setLineDash([]);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Camera} camera
 * @param {Points} points
 * @param {Selected | null} selected
 * @param {boolean} all
 */
function paintLabels(pen, camera, points, selected, all) {
  const { count, xs, ys, ids, mine, shape } = points;
  const chosen = selected?.table === shape.table.name ? selected.id : -1;
  pen.font = "12px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "bottom";
  pen.lineJoin = "round";
  pen.lineWidth = 3;
  pen.strokeStyle = SKY;
  for (let i = 0; i < count; i++) {
    if (!all && !mine[i] && ids[i] !== chosen) continue;
    const x = camera.screenX(xs[i]);
    const y = camera.screenY(ys[i]) - dotSize(points, i, camera) - 7;
    if (isOutside(camera, x, y, 60)) continue;
    const text = oneLine(shape.table.row(ids[i])[shape.label ?? ""]);
    if (!text) continue;
    pen.strokeText(text, x, y);
    pen.fillStyle = mine[i] ? MINE : TEXT;
    pen.fillText(text, x, y);
  }
}

/** @param {unknown} value */
function oneLine(value) {
  if (typeof value !== "string") return "";
  return value.length > LABEL ? `${value.slice(0, LABEL)}...` : value;
}

/** Whether there is room for the names of so many. @param {Points[]} all */
export function hasRoomForNames(all) {
  return all.reduce((sum, { count, shape, visible }) => sum + (shape.label && visible ? count : 0), 0) <= MOST_LABELS;
}

/** Pixels. @param {Points} points @param {number} i @param {Camera} camera */
export function dotSize(points, i, camera) {
  const radius = points.radii[i] * camera.scale;
  return points.shape.radius && radius > 0 ? Math.max(radius, LEAST_DOT) : points.count > CROWD ? 3 : DOT;
}

/** @param {Camera} camera @param {number} x @param {number} y @param {number} reach pixels */
function isOutside(camera, x, y, reach) {
  return x < -reach || y < -reach || x > camera.width + reach || y > camera.height + reach;
}
