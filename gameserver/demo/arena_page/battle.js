// What happens in the arena, read from what changes in its world, and told when it is to be seen.
//
// The world is shown a little in the past (Snapshots), so a shot or a hit waits here until its tick is shown.

import { colourOf, makeRock, wrapped } from "./shapes.js";

/** @typedef {import("/client.js").Session} Session */
/**
 * A ship, with what is remembered of it.
 * @typedef {object} Pilot
 * @property {any} row
 * @property {string} name
 * @property {string} colour
 * @property {number} hp as of the newest state
 * @property {number} score
 * @property {number} flash 1 when it was hit just now, falling to 0
 * @property {number} diedAt tick
 */
/**
 * A bullet, with what its trail needs: bullets fly straight, so two places tell their speed.
 * @typedef {object} Shot
 * @property {string} colour
 * @property {number | null} tick at which it was seen first
 * @property {number} x
 * @property {number} y
 * @property {number} vx units per tick
 * @property {number} vy
 */
/**
 * @typedef {object} Happening
 * @property {number} tick
 * @property {"shot" | "hit" | "kill" | "back" | "chip" | "break" | "score"} kind
 * @property {number} id of the ship or asteroid
 * @property {number} x
 * @property {number} y
 * @property {string} colour
 * @property {number} amount points of damage or score, or a radius
 * @property {string} by who destroyed the ship; empty: an asteroid
 * @property {string} byColour
 */

/** What waits longer than this, in ticks, was not watched by anybody and is not shown any more. */
const STALE_TICKS = 12;
/** Points for a ship; whoever got fewer has not destroyed it. */
const KILL_POINTS = 10;
/** A bullet flies up to 50 units in a tick, and frames may stand for a few ticks; in units. */
const NEAR = 160;

export class Battle {
  /** @param {Session} session */
  constructor(session) {
    this.session = session;
    /** @type {Map<number, Pilot>} */
    this.pilots = new Map();
    /** @type {Map<number, Shot>} */
    this.shots = new Map();
    /** @type {Map<number, import("./shapes.js").Rock & {hp: number, row: any}>} */
    this.rocks = new Map();
    /** @type {Happening[]} */
    this.coming = [];
    /** The own ship, null for who watches. @type {Pilot | null} */
    this.mine = null;
    this.stops = [session.on("frame", (event) => this.take(event))];
    for (const table of session.world.tables) for (const row of table) this.add(table.name, row);
  }

  stop() {
    for (const stop of this.stops) stop();
  }

  /**
   * Call `show` with what is to be seen at the tick shown, in its order.
   * @param {number | null} tick
   * @param {(happening: Happening) => void} show
   */
  reveal(tick, show) {
    if (tick === null) return;
    while (this.coming.length && this.coming[0].tick <= tick) {
      const happening = /** @type {Happening} */ (this.coming.shift());
      if (happening.kind === "kill" || tick - happening.tick < STALE_TICKS) show(happening);
    }
  }

  /** @param {any} event a frame */
  take(event) {
    for (const row of event.spawned("Ship")) this.add("Ship", row);
    for (const row of event.spawned("Asteroid")) this.add("Asteroid", row);
    for (const row of event.spawned("Bullet")) {
      this.add("Bullet", row);
      if (!event.full) this.happen("shot", row, this.shots.get(row.id)?.colour ?? "");
    }
    const dead = this.compareShips(event.full);
    if (dead.length) this.blame(dead, event.despawned("Bullet"));
    for (const pilot of this.pilots.values()) pilot.score = pilot.row.score;
    for (const row of event.changed("Asteroid")) this.compareRock(row);
    for (const row of event.despawned("Asteroid")) this.happen("break", row, "#8a8496", row.radius);
    for (const row of event.despawned("Ship")) {
      if (this.pilots.get(row.id)?.row.alive === false) this.pilots.delete(row.id);
    }
    if (event.tick % 64 === 0) this.forget();
    if (this.coming.length > 400) this.coming.splice(0, this.coming.length - 400);
  }

  /** @param {string} table @param {any} row */
  add(table, row) {
    if (table === "Ship") {
      const pilot = { row, name: row.name, colour: colourOf(row), hp: row.hp, score: row.score, flash: 0, diedAt: 0 };
      this.pilots.set(row.id, pilot);
      if (row.mine) this.mine = pilot;
    } else if (table === "Asteroid") {
      this.rocks.set(row.id, { ...makeRock(row.id), hp: row.hp, row });
    } else if (table === "Bullet") {
      this.shots.set(row.id, { colour: colourOf(row), tick: null, x: 0, y: 0, vx: 0, vy: 0 });
    }
  }

  /** @param {Happening["kind"]} kind @param {any} row @param {string} colour @param {number} amount */
  happen(kind, row, colour, amount = 0) {
    const { tick } = this.session;
    const happening = { tick, kind, id: row.id, x: row.x, y: row.y, colour, amount, by: "", byColour: "" };
    this.coming.push(happening);
    return happening;
  }

  /**
   * Tell of hits, returns and points; gives what is told of ships that were destroyed.
   * @param {boolean} quietly only remember
   */
  compareShips(quietly) {
    const dead = [];
    for (const pilot of this.pilots.values()) {
      const { row } = pilot;
      if (!quietly && row.hp < pilot.hp) {
        const happening = this.happen(row.hp ? "hit" : "kill", row, pilot.colour, pilot.hp - row.hp);
        if (!row.hp) {
          dead.push(happening);
          pilot.diedAt = this.session.tick;
        }
      } else if (!quietly && row.hp && !pilot.hp) this.happen("back", row, pilot.colour);
      if (!quietly && row.mine && row.score > pilot.score) {
        this.happen("score", row, pilot.colour, row.score - pilot.score);
      }
      pilot.hp = row.hp;
      if (pilot.name !== row.name) pilot.name = row.name;
    }
    return dead;
  }

  /**
   * Say who destroyed these ships: whoever got the points for it, and was near or had a bullet there.
   * @param {Happening[]} dead
   * @param {any[]} bullets that are gone; one that was shot and hit in the same tick is never seen
   */
  blame(dead, bullets) {
    for (const happening of dead) {
      let nearest = NEAR;
      for (const pilot of this.pilots.values()) {
        if (pilot.row.score - pilot.score < KILL_POINTS || pilot.row.id === happening.id) continue;
        let away = distance(pilot.row, happening);
        for (const bullet of bullets)
          if (bullet.owner === pilot.row.owner) away = Math.min(away, distance(bullet, happening));
        if (away >= nearest) continue;
        nearest = away;
        happening.by = pilot.name;
        happening.byColour = pilot.colour;
      }
    }
  }

  /** @param {any} row */
  compareRock(row) {
    const rock = this.rocks.get(row.id);
    if (!rock) return;
    if (row.hp < rock.hp) this.happen("chip", row, "#8a8496", row.radius);
    rock.hp = row.hp;
  }

  /** Drop what was remembered of rows that are gone; until now they could still be shown. */
  forget() {
    for (const [id, { row }] of this.rocks) if (!row.alive) this.rocks.delete(id);
    const bullets = this.session.world.table("Bullet");
    for (const [id, shot] of this.shots) {
      if (!bullets.holds(id) && shot.tick !== null && this.session.tick - shot.tick > 40) this.shots.delete(id);
    }
  }
}

/**
 * How far two places are from each other, by the short way.
 * @param {{x: number, y: number}} one
 * @param {{x: number, y: number}} other
 */
function distance(one, other) {
  return Math.hypot(wrapped(one.x - other.x), wrapped(one.y - other.y));
}
