// One session, played or watched: from what the server says to the picture, and from the keys to the server.

import { Snapshots } from "/extras.js";
import { Battle } from "./battle.js";
import { colourOf, WORLD, wrapped } from "./shapes.js";

/** @typedef {import("/client.js").Session} Session */
/**
 * What a game is shown with; made once, used for each game.
 * @typedef {object} Table
 * @property {import("./view.js").View} view
 * @property {import("./hud.js").Hud} hud
 * @property {import("./quality.js").Quality} quality
 * @property {import("./minimap.js").Minimap} minimap
 * @property {import("./controls.js").Controls} controls
 * @property {import("./sounds.js").Sounds} sounds
 */

/** What moves. A ship goes at most 30 units in a tick; its hp jumps from 0 to 100 when it comes back elsewhere. */
const TABLES = {
  Ship: { fields: ["x", "y", "hp"], angles: ["heading"], wrap: WORLD, jump: 99 },
  Bullet: { fields: ["x", "y"], wrap: WORLD, jump: 300 },
  Asteroid: { fields: ["x", "y"], wrap: WORLD, jump: 300 },
};
/** Who watches sees another ship if the one that is watched is gone. */
const NOBODY = -1;

export class Game {
  /**
   * @param {Session} session that has joined
   * @param {Table} table
   */
  constructor(session, table) {
    this.session = session;
    this.table = table;
    this.battle = new Battle(session);
    this.snapshots = new Snapshots(session, { tables: TABLES });
    this.watched = NOBODY;
    /** Whether the player has chosen whom to watch; otherwise it is who leads. */
    this.chosen = false;
    table.hud.clear(session.spectator);
    table.quality.clear();
    table.controls.active = true;
    table.controls.onRelease = () => this.letGo();
    const { hud } = table;
    this.stops = [
      this.snapshots.stop,
      () => this.battle.stop(),
      session.on("frame", () => hud.update(this.battle, session.state)),
      session.on("refused", (event) => hud.tellNote(`The server did not take that: ${event.reason}`)),
      session.onMessage("chat", ([name, text]) => hud.tellChat(name, text, this.colourOfName(name))),
      session.onMessage("round over", ([round, name, score]) => {
        hud.say(`${name} wins round ${round}`, `with ${score} points`);
      }),
    ];
    hud.update(this.battle, session.state);
  }

  /** The last picture stays; nothing more comes. */
  stop() {
    for (const stop of this.stops) stop();
    this.table.controls.active = false;
    this.table.controls.onRelease = () => {};
  }

  /** Nobody steers any more: the window lost its focus. */
  letGo() {
    const { session } = this;
    if (!session.joined || session.spectator) return;
    session.sendInput(this.table.controls.rest());
    session.flushInput();
  }

  /**
   * One picture.
   * @param {number} seconds since the last one
   * @param {number} now milliseconds
   */
  draw(seconds, now) {
    const { session, battle, snapshots, table } = this;
    const { view, hud } = table;
    snapshots.advance(seconds);
    this.steer();
    this.look(seconds);
    battle.reveal(snapshots.tick, (happening) => this.show(happening));
    view.draw(battle, snapshots, seconds);
    hud.draw(battle, snapshots, session.tickRate, now);
    table.minimap.draw(battle, snapshots, view.camera, now);
    table.quality.draw(session, now);
  }

  steer() {
    const { session, battle, table } = this;
    if (session.spectator || !session.joined || document.hidden) return;
    const steer = table.controls.active ? table.controls.read(battle.mine?.row.heading ?? 0) : table.controls.rest();
    session.sendInput(steer);
  }

  /** Turn the camera to the own ship, or to the one that is watched. @param {number} seconds */
  look(seconds) {
    const { battle, session, snapshots, table } = this;
    if (session.spectator) this.choose();
    const id = session.spectator ? this.watched : (battle.mine?.row.id ?? NOBODY);
    const place = snapshots.place("Ship", id);
    if (place) table.view.camera.follow(place.x, place.y, seconds);
  }

  choose() {
    const { battle, session } = this;
    const gone = !battle.pilots.get(this.watched)?.row.alive;
    if (gone) this.chosen = false;
    if (!this.chosen && (gone || session.state?.leader)) {
      this.watch(session.state?.leader?.id ?? session.world.table("Ship").ids[0] ?? NOBODY);
    }
  }

  /** @param {number} id of a ship */
  watch(id) {
    this.watched = id;
    const name = this.battle.pilots.get(id)?.name ?? "nobody";
    if (this.table.hud.watched.textContent !== name) this.table.hud.watched.textContent = name;
  }

  /** Watch another ship. @param {1 | -1} step */
  watchNext(step) {
    const ids = [...this.session.world.table("Ship").ids];
    if (!ids.length) return;
    this.chosen = true;
    this.watch(ids[(ids.indexOf(this.watched) + step + ids.length) % ids.length]);
  }

  /** @param {import("./battle.js").Happening} happening */
  show(happening) {
    const { view, hud, sounds } = this.table;
    view.show(happening, this.battle);
    const { camera } = view;
    const away = Math.hypot(wrapped(happening.x - camera.x), wrapped(happening.y - camera.y));
    sounds.play(happening.kind, Math.max(0, 1 - away / 900));
    const pilot = this.battle.pilots.get(happening.id);
    if (happening.kind === "kill" && pilot) hud.tellKill(pilot.name, pilot.colour, happening.by, happening.byColour);
  }

  /** @param {string} name */
  colourOfName(name) {
    for (const pilot of this.battle.pilots.values()) if (pilot.name === name) return colourOf(pilot.row);
    return "#e2e8f6";
  }
}
