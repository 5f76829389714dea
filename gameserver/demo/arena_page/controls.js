// What the player wants: from keys, a gamepad or fingers, as the room's input.

/** @typedef {{turn: number, thrust: boolean, shoot: boolean}} Steer */

/** By `KeyboardEvent.code`, so that WASD lies in the same place on every keyboard. @type {Record<string, string>} */
const KEYS = {
  ArrowLeft: "left",
  KeyA: "left",
  ArrowRight: "right",
  KeyD: "right",
  ArrowUp: "thrust",
  KeyW: "thrust",
  Space: "shoot",
};
/** A stick that is nearer to its middle than this is not used, and beyond this it thrusts. */
const REST = 0.25;
const THRUST_FROM = 0.6;
/** How fast a ship turns to where a stick points: fully from this many radians on. */
const FULL_TURN = 0.5;
/** Of the standard gamepad (W3C): A and the right trigger shoot, B and the left one thrust, then the cross. */
const PAD = { shoot: [0, 7, 5], thrust: [1, 6, 12], left: 14, right: 15 };

export class Controls {
  /** @param {import("./touch.js").Touch} touch */
  constructor(touch) {
    this.touch = touch;
    /** The input, one object for all times. @type {Steer} */
    this.steer = { turn: 0, thrust: false, shoot: false };
    /** Keys by their codes: of two that do the same, one may be let go. @type {Set<string>} */
    this.held = new Set();
    /** Whether the game is played now; keys are left alone otherwise. */
    this.active = false;
    /** Called when everything is let go because the window lost its focus, or is hidden. */
    this.onRelease = () => {};
    addEventListener("keydown", (event) => this.press(event));
    addEventListener("keyup", (event) => this.held.delete(event.code));
    addEventListener("blur", () => this.release());
    document.addEventListener("visibilitychange", () => document.hidden && this.release());
  }

  /** Let everything go. */
  release() {
    this.held.clear();
    this.touch.release();
    this.onRelease();
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (!KEYS[event.code] || !this.active || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target instanceof Element && event.target.closest("input, button, dialog, [role=alertdialog]")) return;
    event.preventDefault(); // arrows and space would scroll
    this.held.add(event.code);
  }

  /** Whether a key for this is down. @param {string} action */
  holds(action) {
    for (const code of this.held) if (KEYS[code] === action) return true;
    return false;
  }

  /**
   * What is wanted now.
   * @param {number} heading of the own ship, in radians: a stick says where to go, not how to turn
   * @returns {Steer}
   */
  read(heading) {
    const { steer, touch } = this;
    steer.turn = Number(this.holds("right")) - Number(this.holds("left"));
    steer.thrust = this.holds("thrust");
    steer.shoot = this.holds("shoot") || touch.firing;
    this.point(touch.x, touch.y, heading);
    if (document.hasFocus()) this.readPads(heading);
    steer.turn = Math.max(-1, Math.min(1, steer.turn));
    return steer;
  }

  /** Nothing is wanted. */
  rest() {
    const { steer } = this;
    steer.turn = 0;
    steer.thrust = steer.shoot = false;
    return steer;
  }

  /** Pads come and go at any time, and are only known by asking. @param {number} heading */
  readPads(heading) {
    const { steer } = this;
    for (const pad of navigator.getGamepads?.() ?? []) {
      if (!pad?.connected) continue;
      const down = (/** @type {number} */ i) => !!pad.buttons[i]?.pressed;
      steer.shoot ||= PAD.shoot.some(down);
      steer.thrust ||= PAD.thrust.some(down);
      steer.turn += Number(down(PAD.right)) - Number(down(PAD.left));
      this.point(pad.axes[0] ?? 0, pad.axes[1] ?? 0, heading);
    }
  }

  /**
   * A stick points there; the ship turns to it by the short way, and flies when it is pushed far.
   * @param {number} x from -1 to 1
   * @param {number} y
   * @param {number} heading
   */
  point(x, y, heading) {
    const reach = Math.hypot(x, y);
    if (reach < REST) return;
    const way = Math.atan2(y, x) - heading;
    const turn = way - 2 * Math.PI * Math.round(way / (2 * Math.PI));
    this.steer.turn += Math.max(-1, Math.min(1, turn / FULL_TURN));
    if (reach > THRUST_FROM && Math.abs(turn) < 1.2) this.steer.thrust = true;
  }
}
