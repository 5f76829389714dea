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
export async function listRooms(target: string, query: RoomQuery = {}): Promise<RoomListing[]> {
  const address = httpAddress(target, "/rooms");
  if (query.room !== undefined) address.searchParams.set("room", query.room);
  for (const [field, wanted] of Object.entries(query.filter ?? {})) {
    const bounds = wanted !== null && typeof wanted === "object" ? Object.entries(wanted) : [["", wanted]];
    for (const [operator, values] of bounds) {
      const key = operator ? `${field}.${operator}` : field;
      for (const value of [values].flat()) address.searchParams.append(key, String(value));
    }
  }
  const response = await fetch(address).catch((error: unknown) => {
    throw new ConnectError(VANISHED, `no rooms from ${address.origin}: ${error}`);
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok || !Array.isArray(answer.rooms)) {
    const reason = answer.reason ?? `${address.origin} answered ${response.status}`;
    throw new ConnectError(answer.code ?? VANISHED, reason);
  }
  return answer.rooms.map(toListing);
}

function toListing(listed: Record<string, unknown>): RoomListing {
  const { room_id: roomId, max_players: maxPlayers, has_password: hasPassword, ...rest } = listed;
  return { ...rest, roomId, maxPlayers, hasPassword } as RoomListing;
}
