// The map: every entity that has a place, live, to be looked at from near and far, and clicked.

import { Snapshots } from "/extras.js";
import { Camera } from "./camera.js";
import { element, make, write } from "./page.js";
import { dotSize, hasRoomForNames, paintPoints, paintWorld } from "./paint.js";
import { Points } from "./points.js";
import { boundsOf, shapesOf } from "./shapes.js";

/** @typedef {import("/client.js").Session} Session */
/** @typedef {import("./paint.js").Selected} Selected */

/** Pixels: so far from an entity a click means it, and so far a finger moves before it pans. */
const REACH = 14;
const SLIP = 5;
const ZOOM = 1.4;
/** An entity that goes further than this share of the world in a tick was put there. */
const JUMP = 0.2;

export class WorldMap {
  /** @param {(selected: Selected | null) => void} select */
  constructor(select) {
    this.select = select;
    this.canvas = element("view");
    /** @type {CanvasRenderingContext2D} */
    this.pen = this.canvas.getContext("2d", { alpha: false });
    this.camera = new Camera();
    /** @type {Points[]} */
    this.points = [];
    /** Elements with the numbers of entities. @type {Element[]} */
    this.counters = [];
    /** @type {Snapshots | null} */
    this.snapshots = null;
    /** Where the first own entity is. */
    this.mineX = 0;
    this.mineY = 0;
    /** @type {import("./camera.js").Bounds | null} */
    this.bounds = null;
    this.mode = element("view-mode");
    /** Pointers that are down, by their ids. @type {Map<number, {x: number, y: number}>} */
    this.pointers = new Map();
    this.slipped = 0;
    this.listen();
  }

  /** Whether there is anything to draw in this room. */
  get isUseful() {
    return this.points.length > 0;
  }

  /** @param {Session} session */
  watch(session) {
    this.stop();
    const shapes = shapesOf(session.world);
    this.points = shapes.map((shape) => new Points(shape));
    this.bounds = shapes.length ? boundsOf(shapes) : null;
    this.camera.isPlaced = false;
    this.mode.value = this.bounds ? "world" : "all";
    this.mode.querySelector("[value=world]").disabled = !this.bounds;
    const { bounds } = this;
    const jump = bounds ? JUMP * Math.max(bounds.right - bounds.left, bounds.bottom - bounds.top) : Infinity;
    if (session.tickRate && shapes.length) {
      const tables = shapes.map(({ table, angle }) => [
        table.name,
        { fields: ["x", "y"], angles: angle ? [angle] : [], jump },
      ]);
      this.snapshots = new Snapshots(session, { tables: Object.fromEntries(tables) });
    }
    element("smooth").parentElement.hidden = !this.snapshots;
    this.makeLegend();
  }

  stop() {
    this.snapshots?.stop();
    this.snapshots = null;
    this.points = [];
  }

  makeLegend() {
    this.counters = [];
    element("legend").replaceChildren(
      ...this.points.map((points) => {
        const { table, colour } = points.shape;
        const button = make("button", "", { type: "button", "aria-pressed": "true", title: "Show or hide" });
        const dot = make("i");
        dot.style.borderColor = colour;
        dot.style.background = `${colour}55`;
        const count = make("span", "0");
        button.append(dot, `${table.name} `, count);
        button.addEventListener("click", () => {
          points.visible = !points.visible;
          button.setAttribute("aria-pressed", String(points.visible));
        });
        this.counters.push(count);
        const item = make("li");
        item.append(button);
        return item;
      }),
    );
  }

  /** Numbers beside the map, a few times a second. */
  refresh() {
    let all = 0;
    this.points.forEach(({ shape }, i) => {
      write(this.counters[i], String(shape.table.size));
      all += shape.table.size;
    });
    element("map-empty").hidden = all > 0;
  }

  /** One picture. @param {number} seconds since the last @param {Selected | null} selected */
  draw(seconds, selected) {
    const { camera, pen, points, snapshots } = this;
    const { clientWidth, clientHeight } = this.canvas;
    const dense = window.devicePixelRatio || 1;
    if (!clientWidth || !clientHeight) return;
    if (this.canvas.width !== Math.round(clientWidth * dense)) this.canvas.width = Math.round(clientWidth * dense);
    if (this.canvas.height !== Math.round(clientHeight * dense)) this.canvas.height = Math.round(clientHeight * dense);
    camera.width = clientWidth;
    camera.height = clientHeight;
    camera.down = element("y-up").checked ? -1 : 1;
    snapshots?.advance(seconds);
    const smooth = snapshots && snapshots.tick !== null && element("smooth").checked ? snapshots : null;
    for (const each of points) {
      if (smooth) each.readSnapshots(smooth);
      else each.readWorld();
    }
    this.aim(seconds);
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    paintWorld(pen, camera, this.bounds);
    const names = hasRoomForNames(points);
    for (const each of points) if (each.visible) paintPoints(pen, camera, each, selected, names);
  }

  /** @param {number} seconds since the last picture */
  aim(seconds) {
    const { camera, bounds } = this;
    const mode = this.mode.value;
    if (mode === "world" && bounds) camera.fit(bounds, seconds);
    else if (mode === "mine" && this.findMine()) camera.follow(this.mineX, this.mineY, seconds);
    else if (mode === "all" || !camera.isPlaced) {
      const extent = this.extent() ?? bounds;
      if (extent) camera.fit(extent, seconds);
    }
  }

  /** Remember where the first own entity is; false without. */
  findMine() {
    for (const { count, mine, xs, ys } of this.points) {
      for (let i = 0; i < count; i++) {
        if (!mine[i]) continue;
        this.mineX = xs[i];
        this.mineY = ys[i];
        return true;
      }
    }
    return false;
  }

  /** The smallest bounds around all entities, null when there are none. */
  extent() {
    let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
    for (const { count, xs, ys } of this.points) {
      for (let i = 0; i < count; i++) {
        left = Math.min(left, xs[i]);
        right = Math.max(right, xs[i]);
        top = Math.min(top, ys[i]);
        bottom = Math.max(bottom, ys[i]);
      }
    }
    return left <= right ? { left, top, right, bottom } : null;
  }

  /** The entity at a place of the picture, in pixels; null for none. @param {number} x @param {number} y */
  find(x, y) {
    let best = null;
    let nearest = REACH;
    for (const points of this.points) {
      if (!points.visible) continue;
      for (let i = 0; i < points.count; i++) {
        const [dx, dy] = [this.camera.screenX(points.xs[i]) - x, this.camera.screenY(points.ys[i]) - y];
        const far = Math.hypot(dx, dy) - Math.max(0, dotSize(points, i, this.camera) - REACH);
        if (far > nearest) continue;
        nearest = far;
        best = { table: points.shape.table.name, id: points.ids[i] };
      }
    }
    return best;
  }

  // -- fingers, mouse and keys

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
      if (this.pointers.size === 1) this.slipped = 0;
    });
    canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.move(event));
    canvas.addEventListener("pointerup", (/** @type {PointerEvent} */ event) => {
      const isClick = this.pointers.size === 1 && this.slipped < SLIP;
      if (this.pointers.delete(event.pointerId) && isClick) this.select(this.find(event.offsetX, event.offsetY));
    });
    canvas.addEventListener("pointercancel", (/** @type {PointerEvent} */ event) =>
      this.pointers.delete(event.pointerId),
    );
    canvas.addEventListener(
      "wheel",
      (/** @type {WheelEvent} */ event) => {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY * 0.0015), event.offsetX, event.offsetY);
      },
      { passive: false },
    );
    element("zoom-in").addEventListener("click", () => this.zoom(ZOOM));
    element("zoom-out").addEventListener("click", () => this.zoom(1 / ZOOM));
  }

  /** @param {number} factor @param {number} [x] @param {number} [y] */
  zoom(factor, x, y) {
    const follows = this.mode.value === "mine";
    if (!follows) this.mode.value = "free";
    if (follows) this.camera.zoom(factor);
    else this.camera.zoom(factor, x, y);
  }

  /** @param {PointerEvent} event */
  move({ pointerId, offsetX: x, offsetY: y }) {
    const pointer = this.pointers.get(pointerId);
    if (!pointer) return;
    const [dx, dy] = [x - pointer.x, y - pointer.y];
    this.slipped += Math.hypot(dx, dy);
    const other = [...this.pointers].find(([id]) => id !== pointerId)?.[1];
    if (other) {
      const before = Math.hypot(pointer.x - other.x, pointer.y - other.y);
      const after = Math.hypot(x - other.x, y - other.y);
      if (before > 0 && after > 0) this.zoom(after / before, (x + other.x) / 2, (y + other.y) / 2);
    }
    if (other || this.slipped >= SLIP) {
      this.mode.value = "free";
      this.camera.pan(other ? dx / 2 : dx, other ? dy / 2 : dy);
    }
    Object.assign(pointer, { x, y });
  }
}
