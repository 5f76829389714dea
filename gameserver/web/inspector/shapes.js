// What of a room can be drawn: found in its schema, by the names and kinds of fields.

/** @typedef {import("/client.js").Field} Field */
/** @typedef {import("/client.js").Table} Table */
/** @typedef {import("/client.js").Replica} Replica */
/** @typedef {{low: number, high: number}} Span */
/**
 * @typedef {object} Shape a table whose entities have a place
 * @property {Table} table
 * @property {string} colour
 * @property {Span} x of all places that the schema allows; not finite where it has no bounds that mean something
 * @property {Span} y
 * @property {string | null} angle the field that says where it points
 * @property {string | null} radius the field that says how large it is
 * @property {string | null} label the field with its name
 * @property {boolean} isPrivate whether places of some rows may be unknown
 */

const COLOURS = ["#ffb454", "#7ea6ff", "#62d68c", "#ff7eb6", "#c792ea", "#f6e05e", "#4fd1c5", "#ff8f70"];
const NUMBERS = ["fixed", "uint", "int", "float32"];
/** Integers of more bits have bounds that say nothing about the room. */
const TELLING_BITS = 8;

/**
 * All fields of a table, those that only some players know too.
 * @param {Replica} world
 * @param {Table} table
 * @returns {Field[]}
 */
export function fieldsOf(world, table) {
  const companions = world.schema.tables.filter(({ of }) => of === table.index);
  return [...table.schema.fields, ...companions.flatMap(({ fields }) => fields)];
}

/**
 * The tables that a map can show.
 * @param {Replica} world
 * @returns {Shape[]}
 */
export function shapesOf(world) {
  /** @type {Shape[]} */
  const shapes = [];
  for (const table of world.tables) {
    const fields = fieldsOf(world, table);
    const x = fields.find(({ name, kind }) => name === "x" && NUMBERS.includes(kind));
    const y = fields.find(({ name, kind }) => name === "y" && NUMBERS.includes(kind));
    if (!x || !y || table.schema.single) continue;
    shapes.push({
      table,
      colour: COLOURS[shapes.length % COLOURS.length],
      x: span(x),
      y: span(y),
      angle: named(
        fields,
        ({ kind }) => kind === "angle",
        ["heading", "angle", "facing", "rotation", "direction"],
        true,
      ),
      radius: named(fields, ({ kind }) => NUMBERS.includes(kind), ["radius", "size", "r"], false),
      label: named(fields, ({ kind }) => kind === "text", ["name", "label", "title", "nick"], true),
      isPrivate: !table.schema.fields.includes(x) || !table.schema.fields.includes(y),
    });
  }
  return shapes;
}

/**
 * Of the fields that will do, the one with the first of some names, or any.
 * @param {Field[]} fields
 * @param {(field: Field) => boolean} willDo
 * @param {string[]} names
 * @param {boolean} any whether one with another name will do, too
 */
function named(fields, willDo, names, any) {
  const those = fields.filter(willDo);
  for (const name of names) if (those.some((field) => field.name === name)) return name;
  return any ? (those[0]?.name ?? null) : null;
}

/** @param {Field} field @returns {Span} */
function span({ kind, low, step, highest, lowest, bits }) {
  if (kind === "fixed") return { low, high: low + step * highest };
  const tells = kind !== "float32" && bits <= TELLING_BITS;
  return tells ? { low: lowest, high: highest } : { low: -Infinity, high: Infinity };
}

/**
 * The bounds of the whole world, null when the schema does not have them.
 * @param {Shape[]} shapes
 */
export function boundsOf(shapes) {
  const low = (/** @type {"x" | "y"} */ axis) => Math.min(...shapes.map((shape) => shape[axis].low));
  const high = (/** @type {"x" | "y"} */ axis) => Math.max(...shapes.map((shape) => shape[axis].high));
  const bounds = { left: low("x"), top: low("y"), right: high("x"), bottom: high("y") };
  return Object.values(bounds).every(Number.isFinite) ? bounds : null;
}
