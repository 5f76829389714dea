// Why a connection ends: close codes, which of them are worth coming back from, and which ones a page may send.

/** The close codes that Tickwire sends (RFC 6455, 7.4, and its own from 4000 up). */
export const CloseCode = {
  NORMAL: 1000,
  GOING_AWAY: 1001,
  PROTOCOL_ERROR: 1002,
  UNSUPPORTED: 1003,
  UNDECODABLE: 1007,
  POLICY: 1008,
  TOO_BIG: 1009,
  ROOM_FAILED: 1011,
  RESTART: 1012,
  TRY_LATER: 1013,
  HELLO_EXPECTED: 4001,
  HELLO_TIMEOUT: 4002,
  NOT_ADMITTED: 4003,
  UNKNOWN_ROOM: 4004,
  WRONG_VERSION: 4005,
  BAD_INPUT: 4006,
  TOO_SLOW: 4008,
  ROOM_FULL: 4010,
  ROOM_LOCKED: 4011,
  WRONG_PASSWORD: 4012,
  SEAT_GONE: 4013,
  SEAT_TAKEN: 4014,
  BAD_JOIN: 4015,
} as const;

/** The code of a connection that ended without a word (RFC 6455, 7.4.1); it never travels. */
export const VANISHED = 1006;

/** Below 4000, after these the seat is over, or coming back would meet the same end. */
const FINAL_CODES = [1000, 1002, 1003, 1007, 1008, 1009, 1011];

/**
 * Whether a player whose connection ended with this close code may try to come back to its seat.
 *
 * Codes that nobody knows yet are worth a try below 4000: a proxy or a library made them. Those of Tickwire's own range
 * say that the seat is over, with two exceptions: the network, or this page, was too slow.
 */
export function worthTrying(code: number): boolean {
  return code < 4000 ? !FINAL_CODES.includes(code) : code === CloseCode.HELLO_TIMEOUT || code === CloseCode.TOO_SLOW;
}

/** When a closed client should come back, as the server says, in seconds; null when it says nothing about it. */
export function reconnectSeconds(code: number, reason: string): number | null {
  const found =
    code === CloseCode.RESTART || code === CloseCode.TRY_LATER ? /reconnect in ([\d.]+) s$/.exec(reason) : null;
  return found && Number(found[1]);
}
