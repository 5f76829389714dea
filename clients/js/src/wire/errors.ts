// What can be wrong with what a server sends.

/** A message is malformed. `code` is the close code for it, `reason` says what is wrong. */
export class ProtocolError extends Error {
  constructor(
    readonly code: number,
    readonly reason: string,
  ) {
    super(reason);
    this.name = "ProtocolError";
  }
}

/** A delta does not start where the replica is: nothing was changed. The client asks for a full frame and goes on. */
export class BaselineError extends Error {
  override readonly name = "BaselineError";
}

/** Throws a ProtocolError 1007: a message has something malformed. `what` in a word or two, for they all travel to players. */
export function refuse(what: string): never {
  throw new ProtocolError(1007, `malformed: ${what}`);
}
