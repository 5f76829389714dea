// Which keys steer which fields of an input: guessed from their names and types. Pure, but for the listening below.

/** @typedef {import("/client.js").InputField} InputField */
/** @typedef {{code: Direction | "space", value: boolean | "low" | "high"}} Binding */
/** @typedef {"left" | "right" | "up" | "down"} Direction */

/** By `KeyboardEvent.code`, so that WASD lies in the same place on every keyboard. @type {Record<string, Direction | "space">} */
export const KEYS = {
  ArrowLeft: "left",
  KeyA: "left",
  ArrowRight: "right",
  KeyD: "right",
  ArrowUp: "up",
  KeyW: "up",
  ArrowDown: "down",
  KeyS: "down",
  Space: "space",
};
/** How a key is called where controls are. */
export const KEY_NAMES = { left: "\u2190", right: "\u2192", up: "\u2191", down: "\u2193", space: "space" };

const SIDEWAYS = ["turn", "steer", "x", "dx", "ax", "vx", "move_x", "horizontal", "strafe", "yaw"];
const DOWNWARDS = ["y", "dy", "ay", "vy", "move_y", "vertical"]; // y grows downwards, as on screens
const FORWARDS = ["thrust", "throttle", "forward", "forwards", "speed", "accelerate", "gas", "move"];
const SPACES = ["shoot", "fire", "jump"];
/** @type {Record<Direction, string[]>} */
const FLAGS = {
  left: ["left", "turn_left", "move_left"],
  right: ["right", "turn_right", "move_right"],
  up: ["up", "move_up", ...FORWARDS],
  down: ["down", "move_down", "brake", "back", "backward", "backwards", "reverse"],
};

/**
 * The keys of each field that has any.
 * @param {readonly InputField[]} fields
 * @returns {Map<string, Binding[]>}
 */
export function bindings(fields) {
  /** @type {Map<string, Binding[]>} */
  const all = new Map();
  for (const field of fields) {
    const name = field.name.toLowerCase();
    /** @type {Binding[]} */
    let own = [];
    if (field.type === "bool") {
      const code = /** @type {Direction[]} */ (Object.keys(FLAGS)).find((direction) => FLAGS[direction].includes(name));
      if (code) own = [{ code, value: true }];
    } else if (field.type === "int" || field.type === "float") {
      /** @type {Direction[]} */
      const [low, high] = SIDEWAYS.includes(name)
        ? ["left", "right"]
        : DOWNWARDS.includes(name)
          ? ["up", "down"]
          : FORWARDS.includes(name)
            ? ["down", "up"]
            : [];
      if (low && high)
        own = [
          { code: low, value: "low" },
          { code: high, value: "high" },
        ];
    }
    if (own.length) all.set(field.name, own);
  }
  const shot = fields.find(({ name, type }) => type === "bool" && SPACES.includes(name.toLowerCase()));
  const free = fields.find(({ name, type }) => type === "bool" && !all.has(name));
  const space = shot ?? free;
  if (space) all.set(space.name, [{ code: "space", value: true }]);
  return all;
}

/**
 * What the held keys make of a field, undefined when they say nothing.
 * @param {InputField} field
 * @param {Binding[]} own
 * @param {ReadonlySet<string>} held
 */
export function valueOfKeys(field, own, held) {
  const down = own.filter(({ code }) => held.has(code));
  if (!down.length) return undefined;
  if (field.type === "bool") return true;
  const low = field.low ?? Math.min(-1, field.high ?? -1);
  const high = field.high ?? Math.max(1, field.low ?? 1);
  if (down.length > 1) return field.default;
  return down[0].value === "low" ? low : high;
}

/** The keys that are down, and those that were, for a moment between two pictures. */
export class HeldKeys {
  constructor() {
    /** @type {Set<string>} */
    this.held = new Set();
    /** The keys themselves: of two that mean the same, one may be let go. @type {Set<string>} */
    this.codes = new Set();
    /** Pressed since `forget`, maybe let go since. @type {Set<string>} */
    this.fresh = new Set();
    /** Those that mean something in this room. @type {Set<string>} */
    this.used = new Set();
    addEventListener("keydown", (event) => this.press(event));
    addEventListener("keyup", (event) => this.lift(event.code));
    addEventListener("blur", () => this.release());
    document.addEventListener("visibilitychange", () => document.hidden && this.release());
  }

  /** Let everything go. */
  release() {
    this.held.clear();
    this.codes.clear();
    this.fresh.clear();
  }

  /** @param {string} code */
  lift(code) {
    this.codes.delete(code);
    const isHeld = [...this.codes].some((other) => KEYS[other] === KEYS[code]);
    if (!isHeld) this.held.delete(KEYS[code]);
  }

  /** What counts now. @returns {ReadonlySet<string>} */
  get down() {
    return this.fresh.size ? new Set([...this.held, ...this.fresh]) : this.held;
  }

  /** What was pressed has been taken in. */
  forget() {
    this.fresh.clear();
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const key = KEYS[event.code];
    if (!key || !this.used.has(key) || event.ctrlKey || event.altKey || event.metaKey) return;
    if (meansSomethingElse(event.target, key)) return;
    event.preventDefault(); // arrows and space would scroll
    this.held.add(key);
    this.codes.add(event.code);
    if (!event.repeat) this.fresh.add(key);
  }
}

/**
 * Whether the focused element needs the key itself.
 * @param {EventTarget | null} target
 * @param {string} key
 */
function meansSomethingElse(target, key) {
  if (!(target instanceof Element)) return false;
  if (target.closest("input[type=checkbox], button, summary")) return key === "space";
  return target.closest("input, textarea, select") !== null;
}
