// What /extras.js has: what a page may want besides a session. The npm package has it in its one entrance.

export { listRooms, type RoomListing, type RoomQuery } from "./rooms.js";
export { type SnapshotOptions, type SnapshotSource, Snapshots, type SnapshotTable } from "./snapshots.js";
