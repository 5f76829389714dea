// Ids of rows as they travel: gaps, bitmaps, nil (SPEC.md, section "Ids"). All are ascending.

import { ARRAY, BIN, type Cursor } from "./cursor.js";
import { refuse } from "./errors.js";
import { MOST_ID } from "./fields.js";

/** Ids that are spelt out; throws ProtocolError when they are not. */
export function readGaps(cursor: Cursor): Uint32Array {
  if (cursor.kind !== ARRAY) refuse("ids");
  const bins = cursor.array();
  if (bins !== 1 && bins !== 2) refuse("gaps");
  const small = cursor.bin();
  const wide = bins === 2 ? cursor.bin() : null;
  const view = wide && new DataView(wide.buffer, wide.byteOffset, wide.length);
  const ids = new Uint32Array(small.length);
  let [id, next] = [0, 0];
  for (let i = 0; i < small.length; i++) {
    let gap = small[i];
    if (gap === 255) {
      if (!view || next + 4 > view.byteLength) refuse("wide gaps");
      gap = view.getUint32(next, true);
      next += 4;
    }
    if (gap === 0) refuse("gap of 0");
    id += gap;
    ids[i] = id;
  }
  if (wide && (next === 0 || next < wide.length)) refuse("wide gaps");
  if (id > MOST_ID) refuse("id");
  return ids;
}

/** Ids in any shape; nil means all of `set`, and a bitmap speaks of it. */
export function readIds(cursor: Cursor, set: Uint32Array): Uint32Array {
  if (cursor.nil()) return set;
  if (cursor.kind !== BIN) return readGaps(cursor);
  const bits = cursor.bin();
  if (bits.length !== (set.length + 7) >> 3) refuse("bitmap");
  const ids = new Uint32Array(set.length);
  let count = 0;
  for (let i = 0; i < set.length; i++) {
    if ((bits[i >> 3] >> (i & 7)) & 1) ids[count++] = set[i];
  }
  return ids.subarray(0, count);
}

/** Those of `ids` that are not among `others`. */
export function without(ids: Uint32Array, others: Uint32Array): Uint32Array {
  if (ids === others) return ids.subarray(0, 0);
  if (!others.length || !ids.length) return ids;
  const left = new Uint32Array(ids.length);
  let [count, at] = [0, 0];
  for (let i = 0; i < ids.length; i++) {
    while (at < others.length && others[at] < ids[i]) at++;
    if (others[at] !== ids[i]) left[count++] = ids[i];
  }
  return left.subarray(0, count);
}

/** All of some lists, each id once. */
export function union(lists: readonly Uint32Array[]): Uint32Array {
  if (lists.length === 1) return lists[0];
  const marks = new Uint8Array(1 + Math.max(...lists.map((list) => list[list.length - 1] ?? 0)));
  let count = 0;
  for (const list of lists) {
    for (let i = 0; i < list.length; i++) {
      if (!marks[list[i]]) count++;
      marks[list[i]] = 1;
    }
  }
  const all = new Uint32Array(count);
  for (let id = marks.length; count > 0; ) if (marks[--id]) all[--count] = id;
  return all;
}
