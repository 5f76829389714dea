// What the end of a connection means to a player: in words, and what is to be done about it.

/** @typedef {"again" | "refused" | "ended"} Next again: join anew by itself; refused: back to the join screen */

/** Codes with which the server says no to who asks; protocol/SPEC.md, section 16. */
const REFUSALS = new Map([
  [4003, "The server does not let you in"],
  [4004, "There is no such room (any more)"],
  [4005, "This page is too old or too new for the server: load it again"],
  [4010, "This room is full"],
  [4011, "This room is locked: nobody may join any more"],
  [4012, "This room has a password"],
  [4015, "This is not possible here"],
]);

/** After these the same would happen again, or somebody decided it. */
const ENDS = new Map([
  [1000, "The match is over"],
  [1002, "The server did not understand this page"],
  [1003, "The server did not understand this page"],
  [1007, "The server did not understand this page"],
  [1008, "You were sent out of the room"],
  [1009, "The server did not understand this page"],
  [4001, "The server did not understand this page"],
  [4006, "The server did not understand this page"],
  [4014, "Your ship was taken over by another window"],
]);

const PASSING = new Map([
  [1001, "The server stops"],
  [1011, "The room had an accident"],
  [1012, "The server restarts"],
  [1013, "The server is busy"],
  [4002, "The connection was too slow"],
  [4008, "The connection was too slow"],
  [4013, "Your ship is gone"],
]);

/**
 * What to do after a close code.
 * @param {number} code
 * @returns {Next}
 */
export function next(code) {
  if (REFUSALS.has(code)) return "refused";
  if (ENDS.has(code)) return "ended";
  return code < 4000 || PASSING.has(code) ? "again" : "ended";
}

/**
 * A close code in a few words for players.
 * @param {number} code
 * @param {boolean} wasIn whether the player has been in the room
 */
export function words(code, wasIn) {
  const known = REFUSALS.get(code) ?? ENDS.get(code) ?? PASSING.get(code);
  return (
    known ??
    (code >= 4000 ? "The server has closed the connection" : wasIn ? "Connection lost" : "The server does not answer")
  );
}

/**
 * A refusal with what the server says of it.
 * @param {number} code
 * @param {string} reason
 */
export function refusal(code, reason) {
  const said = reason.trim();
  return said ? `${words(code, false)}. The server says: ${said}` : `${words(code, false)}.`;
}

/**
 * Seconds after which a server wants to be asked again, null if its reason names none; SPEC, section 16.
 * @param {string} reason
 */
export function secondsSaid(reason) {
  const found = /reconnect in ([\d.]+) s$/.exec(reason);
  return found ? Number(found[1]) : null;
}
