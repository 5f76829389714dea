// The bundled arena on a canvas: arrow keys or WASD fly, space shoots.

import { open, type Row, Snapshots } from "tickwire";
import { pressedKeys } from "./keys";

/** What this page reads of the room. The schema itself comes with the welcome: this is for TypeScript only. */
interface World {
  Ship: { x: number; y: number; heading: number; thrusting: boolean; hp: number; score: number; name: string };
  Bullet: { x: number; y: number };
  Asteroid: { x: number; y: number; radius: number };
}
type Ship = Row<World["Ship"]>;

const WIDTH = 2000; // of the world, whose edges wrap
const canvas = document.querySelector("canvas") as HTMLCanvasElement;
const draw = canvas.getContext("2d") as CanvasRenderingContext2D;
const status = document.querySelector("#status") as HTMLElement;

const name = new URLSearchParams(location.search).get("name") ?? "Ada";
const session = open<World>("/arena", { name });
const moving = { wrap: WIDTH, jump: 200 };
const snapshots = new Snapshots(session, {
  tables: {
    Ship: { fields: ["x", "y"], angles: ["heading"], ...moving },
    Bullet: { fields: ["x", "y"], ...moving },
    Asteroid: { fields: ["x", "y"], ...moving },
  },
});
Object.assign(window, { session }); // to look around in the browser's console

let words = "";
const say = (text: string) => {
  words = text;
};
session.on("joined", () => say(""));
session.on("dropped", ({ secondsLeft }) => say(`connection lost, the seat is kept for ${secondsLeft} s`));
session.on("returned", () => say(""));
session.on("disconnected", ({ reason }) => say(`${reason}; reload the page to join again`));
session.onMessage("destroyed", (by: string | null) => say(`destroyed by ${by ?? "a rock"}`));
session.onMessage("hit", (whom: string) => say(`you destroyed ${whom}`));

const keys = pressedKeys();
let before = performance.now();
const camera = { x: WIDTH / 2, y: WIDTH / 2 };

function frame(now: number): void {
  snapshots.advance((now - before) / 1000);
  before = now;
  if (session.joined && !session.spectator) {
    const turn = Number(keys.has("right")) - Number(keys.has("left"));
    session.sendInput({ turn, thrust: keys.has("up"), shoot: keys.has("shoot") });
  }
  render();
  requestAnimationFrame(frame);
}

function render(): void {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  draw.scale(devicePixelRatio, devicePixelRatio);
  if (!session.joined) {
    status.textContent = session.closed ? words : "joining";
    return;
  }
  const mine = [...session.world.Ship].find((ship) => ship.mine);
  const place = mine && snapshots.place("Ship", mine.id);
  if (place) Object.assign(camera, { x: place.x, y: place.y });
  status.textContent = words || (mine ? `${mine.name}   ${mine.hp} hp   ${mine.score} points` : "");
  draw.translate(width / 2, height / 2);
  drawGrid(width, height);
  snapshots.each("Asteroid", ({ x, y }, id) => {
    circle(x, y, session.world.Asteroid.get(id)?.radius ?? 0, "#7a7484");
  });
  snapshots.each("Bullet", ({ x, y }) => {
    circle(x, y, 3, "#ffe896");
  });
  snapshots.each("Ship", ({ x, y, heading }, id) => {
    const ship = session.world.Ship.get(id);
    if (ship?.hp) drawShip(ship, fromCamera(x, camera.x), fromCamera(y, camera.y), heading);
  });
}

/** Along one axis, the short way round the world. */
function fromCamera(value: number, centre: number): number {
  const way = value - centre;
  return way - WIDTH * Math.round(way / WIDTH);
}

function circle(x: number, y: number, radius: number, colour: string): void {
  draw.beginPath();
  draw.arc(fromCamera(x, camera.x), fromCamera(y, camera.y), radius, 0, 2 * Math.PI);
  draw.fillStyle = colour;
  draw.fill();
}

function drawShip(ship: Ship, x: number, y: number, heading: number): void {
  draw.save();
  draw.translate(x, y);
  draw.fillStyle = draw.strokeStyle = ship.mine ? "#70e2ff" : "#ff9e64";
  draw.textAlign = "center";
  draw.fillText(ship.name, 0, -24);
  draw.rotate(heading);
  if (ship.thrusting) draw.fillRect(-20, -3, 8, 6);
  draw.stroke(new Path2D("M 17 0 L -12 10 L -7 0 L -12 -10 Z"));
  draw.restore();
}

function drawGrid(width: number, height: number): void {
  const step = 100;
  draw.strokeStyle = "#1b2138";
  draw.beginPath();
  for (let x = -(camera.x % step) - step * Math.ceil(width / 2 / step); x < width / 2; x += step) {
    draw.moveTo(x, -height / 2);
    draw.lineTo(x, height / 2);
  }
  for (let y = -(camera.y % step) - step * Math.ceil(height / 2 / step); y < height / 2; y += step) {
    draw.moveTo(-width / 2, y);
    draw.lineTo(width / 2, y);
  }
  draw.stroke();
}

requestAnimationFrame(frame);
