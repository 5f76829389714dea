// Tickwire's client for browsers and Node: `connect` joins a room and gives a session.

export * from "./client.js";
export * from "./extras.js";
