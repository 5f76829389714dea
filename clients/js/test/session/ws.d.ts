// What the tests use of the package `ws`, which brings no types.
declare module "ws" {
  export class WebSocket extends globalThis.WebSocket {
    /** Breaks the connection at once, without a Close. */
    terminate(): void;
    /** Reads nothing from the network until `resume`. */
    pause(): void;
    resume(): void;
  }
}
