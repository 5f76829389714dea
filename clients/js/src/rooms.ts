// The rooms of a server, before one of them is joined.

import { VANISHED } from "./closing.js";
import { ConnectError } from "./errors.js";
import { httpAddress } from "./target.js";

/** What a server says of one of its rooms. */
export interface RoomListing {
  readonly room: string;
  readonly roomId: string;
  /** Seats that are held or reserved count, too. */
  readonly players: number;
  /** null where there is no limit. */
  readonly maxPlayers: number | null;
  readonly spectators: number;
  readonly locked: boolean;
  readonly hasPassword: boolean;
  readonly metadata: Readonly<Record<string, boolean | number | string>>;
}

/** Which rooms to list. */
export interface RoomQuery {
  /** The room type; without it those of all types that have the filter's fields. */
  room?: string;
  /** As in `connect`. */
  filter?: Record<string, unknown>;
}

/**
 * The rooms of a server that are not private, the oldest first.
 *
 * @param target as of `connect`; its path does not matter
 * @throws ConnectError the server cannot be reached, or the filter asks for what there is not
 */
export async function listRooms(target: string, { room, filter = {} }: RoomQuery = {}): Promise<RoomListing[]> {
  const address = httpAddress(target, "/rooms");
  const say = (key: string, values: unknown) => {
    for (const value of [values].flat()) address.searchParams.append(key, String(value));
  };
  if (room) say("room", room);
  for (const [field, wanted] of Object.entries(filter)) {
    if (typeof wanted !== "object") say(field, wanted);
    else for (const [operator, values] of Object.entries(wanted ?? {})) say(`${field}.${operator}`, values);
  }
  let answer: { rooms?: Record<string, unknown>[]; code?: number; reason?: string } = {};
  try {
    answer = await (await fetch(address)).json();
  } catch {}
  const { rooms, code = VANISHED, reason = `no rooms from ${address.origin}` } = answer;
  if (!rooms) throw new ConnectError(code, reason);
  return rooms.map(
    ({ room_id: roomId, max_players: maxPlayers, has_password: hasPassword, ...rest }) =>
      ({ ...rest, roomId, maxPlayers, hasPassword }) as RoomListing,
  );
}
