// What lies over the picture: scores, clock, health, what happened, and the line of who is watched.

import { element, make, write } from "./page.js";

/** @typedef {import("./battle.js").Battle} Battle */
/** @typedef {import("./battle.js").Pilot} Pilot */

/** How many lines of scores, on small screens and on others. */
const SHORT = 4;
const LONG = 8;
const LINES = 6;
/** How long a line is seen, in milliseconds, and how long a banner. */
const LINE_MS = 9000;
const BANNER_MS = 4500;
/** A ship comes back so many seconds after it was destroyed. */
const RESPAWN_SECONDS = 2;

export class Hud {
  constructor() {
    this.scores = element("score-list");
    this.time = element("time");
    this.round = element("round");
    this.feed = element("feed");
    this.banner = element("banner");
    this.health = element("health");
    this.watching = element("watching");
    this.watched = element("watched");
    this.bannerUntil = 0;
    this.ranking = "";
    this.hp = -1;
  }

  /** Begin with nothing of another match. @param {boolean} spectator */
  clear(spectator) {
    this.feed.replaceChildren();
    this.banner.hidden = true;
    this.bannerUntil = 0;
    this.ranking = "";
    this.health.hidden = spectator;
    this.watching.hidden = !spectator;
    document.body.toggleAttribute("data-watching", spectator);
  }

  /** Once for each state. @param {Battle} battle @param {any} match the room's state */
  update(battle, match) {
    this.showScores(battle, match?.leader?.id ?? -1);
    if (!match) return;
    const { seconds_left: left, round } = match;
    write(this.time, `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`);
    this.time.classList.toggle("late", left <= 10);
    write(this.round, `Round ${round}`);
  }

  /** @param {Battle} battle @param {number} leader id of its ship */
  showScores(battle, leader) {
    const ships = [...battle.pilots.values()].sort((a, b) => b.row.score - a.row.score || a.row.id - b.row.id);
    const most = Math.min(innerWidth, innerHeight) < 560 ? SHORT : LONG;
    const shown = ships.slice(0, most);
    const place = battle.mine ? ships.indexOf(battle.mine) : -1;
    if (battle.mine && place >= most) shown[most - 1] = battle.mine;
    const ranking = shown.map(({ name, row }) => `${row.id} ${name} ${row.score}`).join("\n") + leader;
    if (ranking === this.ranking) return;
    this.ranking = ranking;
    this.scores.replaceChildren(
      ...shown.map((pilot) => {
        const line = make("li", "", { class: pilot === battle.mine ? "mine" : "" });
        if (place >= most && pilot === battle.mine) line.classList.add("apart");
        const crown = pilot.row.id === leader ? " \u2605" : "";
        line.append(make("span", pilot.name + crown, { colour: pilot.colour }), make("b", String(pilot.row.score)));
        return line;
      }),
    );
  }

  /**
   * Once for each picture.
   * @param {Battle} battle
   * @param {import("/extras.js").Snapshots} snapshots
   * @param {number} rate ticks per second
   * @param {number} now milliseconds
   */
  draw(battle, snapshots, rate, now) {
    const { mine } = battle;
    const place = mine && snapshots.place("Ship", mine.row.id);
    if (mine && place) this.showHealth(Math.round(place.hp));
    if (mine && place && place.hp <= 0) {
      const left = RESPAWN_SECONDS - ((snapshots.tick ?? 0) - mine.diedAt) / rate;
      this.say("Destroyed", `back in ${Math.max(0, left).toFixed(1)} s`, now + 100);
    }
    if (!this.banner.hidden && now > this.bannerUntil) this.banner.hidden = true;
  }

  /** @param {number} hp */
  showHealth(hp) {
    if (hp === this.hp) return;
    this.hp = hp;
    this.health.firstElementChild.style.transform = `scaleX(${hp / 100})`;
    this.health.toggleAttribute("data-low", hp <= 35);
    this.health.setAttribute("aria-valuenow", String(hp));
    write(this.health.lastElementChild, String(hp));
  }

  /** Large words in the middle. @param {string} text @param {string} more @param {number} [until] milliseconds */
  say(text, more, until = performance.now() + BANNER_MS) {
    this.bannerUntil = until;
    this.banner.hidden = false;
    const whole = `${text}\n${more}`;
    if (this.banner.dataset.whole === whole) return;
    this.banner.dataset.whole = whole;
    this.banner.replaceChildren(text, make("small", more));
  }

  /** A line that fades. @param {...(Node | string)} parts */
  tell(...parts) {
    const line = make("li");
    line.append(...parts);
    this.feed.append(line);
    while (this.feed.children.length > LINES) this.feed.firstElementChild.remove();
    setTimeout(() => line.classList.add("old"), LINE_MS);
    setTimeout(() => line.remove(), LINE_MS + 1000);
  }

  /** @param {string} name @param {string} colour @param {string} by @param {string} byColour */
  tellKill(name, colour, by, byColour) {
    if (by)
      this.tell(
        make("b", by, { colour: byColour }),
        make("span", " destroyed ", { class: "how" }),
        make("b", name, { colour }),
      );
    else this.tell(make("b", name, { colour }), make("span", " hit an asteroid", { class: "how" }));
  }

  /** @param {string} name @param {string} text @param {string} colour */
  tellChat(name, text, colour) {
    this.tell(make("b", `${name}: `, { colour }), text);
  }

  /** Something that only this page says. @param {string} text */
  tellNote(text) {
    this.tell(make("span", text, { class: "told" }));
  }
}
