// A stick and a button for fingers; they appear with the first touch, or where there is no better pointer.

/** How far the stick can be pushed, in CSS pixels. */
const REACH = 46;

export class Touch {
  /** @param {HTMLElement} stick @param {HTMLElement} fire @param {HTMLElement} panel around both */
  constructor(stick, fire, panel) {
    this.stick = stick;
    this.knob = /** @type {HTMLElement} */ (stick.firstElementChild);
    this.fire = fire;
    this.panel = panel;
    /** Where the stick points, from -1 to 1 each. */
    this.x = 0;
    this.y = 0;
    this.firing = false;
    /** @type {number | null} */
    this.finger = null;
    this.listen();
    if (matchMedia("(hover: none) and (pointer: coarse)").matches) this.appear();
    addEventListener("touchstart", () => this.appear(), { once: true, passive: true });
  }

  appear() {
    this.panel.hidden = false;
    document.body.dataset.touch = "";
  }

  release() {
    this.x = this.y = 0;
    this.firing = false;
    this.finger = null;
    this.knob.style.translate = "";
    this.fire.classList.remove("held");
  }

  listen() {
    const { stick, fire } = this;
    stick.addEventListener("pointerdown", (event) => {
      this.finger = event.pointerId;
      stick.setPointerCapture(event.pointerId);
      this.move(event);
    });
    stick.addEventListener("pointermove", (event) => this.move(event));
    for (const type of ["pointerup", "pointercancel", "lostpointercapture"]) {
      stick.addEventListener(type, () => this.centre());
      fire.addEventListener(type, () => this.hold(false));
    }
    fire.addEventListener("pointerdown", (event) => {
      fire.setPointerCapture(event.pointerId);
      this.hold(true);
    });
    // A long press would ask for a menu, in the middle of a fight.
    for (const each of [stick, fire]) each.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** @param {PointerEvent} event */
  move(event) {
    if (event.pointerId !== this.finger) return;
    const { left, top, width, height } = this.stick.getBoundingClientRect();
    const x = (event.clientX - left - width / 2) / REACH;
    const y = (event.clientY - top - height / 2) / REACH;
    const far = Math.max(1, Math.hypot(x, y));
    this.x = x / far;
    this.y = y / far;
    this.knob.style.translate = `${this.x * REACH}px ${this.y * REACH}px`;
  }

  centre() {
    this.x = this.y = 0;
    this.finger = null;
    this.knob.style.translate = "";
  }

  /** @param {boolean} down */
  hold(down) {
    this.firing = down;
    this.fire.classList.toggle("held", down);
  }
}
