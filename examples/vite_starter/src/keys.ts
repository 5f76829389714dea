// Which keys are held down.

const ACTIONS: Record<string, string> = {
  ArrowLeft: "left",
  KeyA: "left",
  ArrowRight: "right",
  KeyD: "right",
  ArrowUp: "up",
  KeyW: "up",
  Space: "shoot",
};

/** The actions whose keys are down now; the set changes by itself. */
export function pressedKeys(): ReadonlySet<string> {
  const pressed = new Set<string>();
  addEventListener("keydown", (event) => {
    const action = ACTIONS[event.code];
    if (!action) return;
    pressed.add(action);
    event.preventDefault(); // the page must not scroll
  });
  addEventListener("keyup", ({ code }) => pressed.delete(ACTIONS[code] ?? ""));
  addEventListener("blur", () => pressed.clear());
  return pressed;
}
