// The bundled arena with Phaser 4: a sprite for each entity, and a camera on the player's ship.

import Phaser from "phaser";
import { open, type Row, Snapshots } from "tickwire";
import { makeTextures, ROCK_RADIUS } from "./textures";

/** What this page reads of the room. The schema itself comes with the welcome: this is for TypeScript only. */
interface World {
  Ship: { x: number; y: number; heading: number; thrusting: boolean; hp: number; score: number; name: string };
  Bullet: { x: number; y: number };
  Asteroid: { x: number; y: number; radius: number };
}
type Sprites = Map<number, Phaser.GameObjects.Container>; // by the entity's id

const WIDTH = 2000; // of the world, whose edges wrap
const TABLES = ["Asteroid", "Bullet", "Ship"] as const;
const MOVING = { fields: ["x", "y"], wrap: WIDTH, jump: 200 };
const KEYS = { left: "LEFT", right: "RIGHT", up: "UP", shoot: "SPACE" };

class ArenaScene extends Phaser.Scene {
  readonly name = new URLSearchParams(location.search).get("name") ?? "Ada";
  readonly session = open<World>("/arena", { name: this.name });
  readonly snapshots = new Snapshots(this.session, {
    tables: { Ship: { ...MOVING, angles: ["heading"] }, Bullet: MOVING, Asteroid: MOVING },
  });
  readonly sprites: Record<keyof World, Sprites> = { Ship: new Map(), Bullet: new Map(), Asteroid: new Map() };
  keys!: Record<keyof typeof KEYS, Phaser.Input.Keyboard.Key>;
  status!: Phaser.GameObjects.Text;

  create(): void {
    const { session } = this;
    makeTextures(this);
    this.add.tileSprite(WIDTH / 2, WIDTH / 2, 2 * WIDTH, 2 * WIDTH, "grid").setDepth(-1);
    this.status = this.add.text(16, 12, "", { fontSize: "16px" }).setScrollFactor(0).setDepth(1);
    this.keys = this.input.keyboard?.addKeys(KEYS) as typeof this.keys;
    this.cameras.main.centerOn(WIDTH / 2, WIDTH / 2);
    session.onSpawned("Ship", (ship) => this.addShip(ship));
    session.onSpawned("Bullet", ({ id }) => this.addSprite("Bullet", id, [this.add.image(0, 0, "bullet")]));
    session.onSpawned("Asteroid", ({ id, radius }) => {
      this.addSprite("Asteroid", id, [this.add.image(0, 0, "rock").setScale(radius / ROCK_RADIUS)]);
    });
    for (const table of TABLES) {
      session.onDespawned(table, ({ id }) => {
        this.sprites[table].get(id)?.destroy();
        this.sprites[table].delete(id);
      });
    }
    Object.assign(window, { session }); // to look around in the browser's console
  }

  addSprite(table: keyof World, id: number, parts: Phaser.GameObjects.GameObject[]): void {
    this.sprites[table].set(id, this.add.container(0, 0, parts));
  }

  addShip({ id, mine, name }: Row<World["Ship"]>): void {
    const hull = this.add
      .image(0, 0, "ship")
      .setTint(mine ? 0x70e2ff : 0xff9e64)
      .setName("hull");
    const flame = this.add.image(-16, 0, "flame").setName("flame");
    const label = this.add.text(0, -34, name, { fontSize: "13px" }).setOrigin(0.5);
    this.addSprite("Ship", id, [this.add.container(0, 0, [flame, hull]).setName("body"), label]);
  }

  /** Phaser calls this once per animation frame. */
  override update(_now: number, milliseconds: number): void {
    const { session, snapshots, keys } = this;
    snapshots.advance(milliseconds / 1000);
    this.status.setText(this.words());
    if (!session.joined) return;
    const turn = Number(keys.right.isDown) - Number(keys.left.isDown);
    session.sendInput({ turn, thrust: keys.up.isDown, shoot: keys.shoot.isDown });
    this.follow();
    for (const table of TABLES) {
      snapshots.each(table, ({ x, y }, id) => {
        this.sprites[table].get(id)?.setPosition(this.nearCamera("x", x), this.nearCamera("y", y));
      });
    }
    snapshots.each("Ship", ({ heading }, id) => this.pose(id, heading));
  }

  /** Puts the camera on the player's own ship. */
  follow(): void {
    const own = [...this.session.world.Ship].find(({ mine }) => mine);
    const place = own && this.snapshots.place("Ship", own.id);
    if (place) this.cameras.main.centerOn(place.x, place.y);
  }

  /** Where to draw what is at `value` along an axis: the place that is next to the camera, as the world's edges wrap. */
  nearCamera(axis: "x" | "y", value: number): number {
    const { scrollX, scrollY, width, height } = this.cameras.main;
    const centre = axis === "x" ? scrollX + width / 2 : scrollY + height / 2;
    return value + WIDTH * Math.round((centre - value) / WIDTH);
  }

  /** Turns a ship; a destroyed one is not seen until it is back. */
  pose(id: number, heading: number): void {
    const ship = this.session.world.Ship.get(id);
    const sprite = this.sprites.Ship.get(id);
    const body = sprite?.getByName("body") as Phaser.GameObjects.Container | null;
    sprite?.setVisible(!!ship?.hp);
    body?.setRotation(heading);
    (body?.getByName("flame") as Phaser.GameObjects.Image | null)?.setVisible(!!ship?.thrusting);
  }

  words(): string {
    const { session } = this;
    if (session.closed) return `${session.closeReason}; reload the page to join again`;
    if (session.reconnecting) return "connection lost, coming back";
    const own = session.joined && [...session.world.Ship].find(({ mine }) => mine);
    return own ? `${own.name}   ${own.hp} hp   ${own.score} points` : "joining";
  }
}

new Phaser.Game({
  type: Phaser.AUTO,
  scale: { mode: Phaser.Scale.RESIZE, width: "100%", height: "100%" },
  backgroundColor: "#090b16",
  audio: { noAudio: true },
  scene: ArenaScene,
});
