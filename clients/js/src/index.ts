// Tickwire's client for browsers and Node: `connect` joins a room and gives a session.

export { CloseCode } from "./closing.js";
export { type ConnectOptions, connect, open } from "./connect.js";
export {
  ConnectError,
  DisconnectedError,
  InputError,
  RequestFailedError,
  RequestTimeoutError,
} from "./errors.js";
export type {
  DisconnectedEvent,
  DroppedEvent,
  FrameEvent,
  JoinedEvent,
  MessageEvent,
  RefusedEvent,
  ReturnedEvent,
  SessionEvent,
  SessionEvents,
} from "./events.js";
export { type JoinOptions, VERSION } from "./hello.js";
export type { SeatStorage } from "./keeping.js";
export { listRooms, type RoomListing, type RoomQuery } from "./rooms.js";
export { type Observer, Session, type SessionOptions } from "./session.js";
export { Snapshots } from "./snapshots.js";
export type { Stats } from "./stats.js";
export type { Page, PageEvent } from "./visibility.js";
export { readMessage, type ServerMessage } from "./wire/messages.js";
export { type Entities, Replica, type TableChanges, type World } from "./wire/replica.js";
export type { Field, InputField, InputSchema, Schema, TableSchema } from "./wire/schema.js";
export { type Fields, type Row, Table } from "./wire/table.js";
