// Where the entities of one table are in this picture, in arrays that are used again for the next.

/** @typedef {import("./shapes.js").Shape} Shape */
/** @typedef {import("/extras.js").Snapshots} Snapshots */

const FIRST_POINTS = 64;

export class Points {
  /** @param {Shape} shape */
  constructor(shape) {
    this.shape = shape;
    this.visible = true;
    this.count = 0;
    this.ids = new Uint32Array(FIRST_POINTS);
    this.xs = new Float64Array(FIRST_POINTS);
    this.ys = new Float64Array(FIRST_POINTS);
    this.angles = new Float64Array(FIRST_POINTS);
    /** In units of the world; 0 where the entity does not say. */
    this.radii = new Float64Array(FIRST_POINTS);
    this.mine = new Uint8Array(FIRST_POINTS);
  }

  /** Take the places as the newest frame has them. */
  readWorld() {
    const { table, angle } = this.shape;
    const xs = /** @type {Float64Array} */ (table.column("x"));
    const ys = /** @type {Float64Array} */ (table.column("y"));
    const angles = angle ? /** @type {Float64Array} */ (table.column(angle)) : null;
    const { ids } = table;
    this.begin(ids.length);
    for (let row = 0; row < ids.length; row++) this.add(ids[row], xs[row], ys[row], angles ? angles[row] : 0);
    this.finish();
  }

  /** Take the places at the time that `snapshots` show. @param {Snapshots} snapshots */
  readSnapshots(snapshots) {
    const { table, angle } = this.shape;
    this.begin(table.ids.length * 2 + FIRST_POINTS); // what is gone now is there still, then
    snapshots.each(table.name, (place, id) => this.add(id, place.x, place.y, angle ? place[angle] : 0));
    this.finish();
  }

  /** @param {number} most */
  begin(most) {
    this.count = 0;
    if (this.ids.length >= most) return;
    const size = most * 2;
    this.ids = new Uint32Array(size);
    this.xs = new Float64Array(size);
    this.ys = new Float64Array(size);
    this.angles = new Float64Array(size);
    this.radii = new Float64Array(size);
    this.mine = new Uint8Array(size);
  }

  /** @param {number} id @param {number} x @param {number} y @param {number} angle */
  add(id, x, y, angle) {
    const { table, isPrivate } = this.shape;
    const at = this.count;
    if (at >= this.ids.length || (isPrivate && !(table.knowsOf("x", id) && table.knowsOf("y", id)))) return;
    this.ids[at] = id;
    this.xs[at] = x;
    this.ys[at] = y;
    this.angles[at] = angle;
    this.count = at + 1;
  }

  /** Add what is not between two states: sizes, and whose it is. */
  finish() {
    const { table, radius } = this.shape;
    for (let i = 0; i < this.count; i++) {
      const row = table.row(this.ids[i]);
      this.radii[i] = radius ? Math.max(0, Number(row[radius]) || 0) : 0;
      this.mine[i] = row.mine ? 1 : 0;
    }
  }
}
