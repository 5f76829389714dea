// Every session can be watched, whatever world its program says it has. This is for the compiler.

import { expectTypeOf, test } from "vitest";
import type { Overlay } from "../../src/overlay/index.js";
import type { Session } from "../../src/session.js";

test("sessions are taken as they are", () => {
  expectTypeOf<Session<{ Ship: { x: number; name: string } }>>().toExtend<Parameters<Overlay["watch"]>[0]>();
  expectTypeOf<Session>().toExtend<Parameters<Overlay["watch"]>[0]>();
});
