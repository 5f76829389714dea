// What /client.js has: `connect` joins a room and gives a session.
//
// What a page may want besides is in extras.ts, a file of its own, so that nobody loads what is not used.

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
export type { Observer, SessionOptions } from "./options.js";
export { Session } from "./session.js";
export type { Stats } from "./stats.js";
export type { Page, PageEvent } from "./visibility.js";
export { readMessage, type ServerMessage } from "./wire/messages.js";
export { type Entities, Replica, type TableChanges, type World } from "./wire/replica.js";
export type { Field, InputField, InputSchema, Schema, TableSchema } from "./wire/schema.js";
export { type Fields, type Row, Table } from "./wire/table.js";
