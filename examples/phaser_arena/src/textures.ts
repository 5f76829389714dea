// What the sprites look like, drawn once: there are no image files.

import Phaser from "phaser";

export const ROCK_RADIUS = 64; // of the texture, in pixels

/** Makes the textures "ship", "flame", "rock", "bullet" and "grid". Ships look to the right, as heading 0 does. */
export function makeTextures(scene: Phaser.Scene): void {
  const pen = scene.make.graphics({}, false);
  const finish = (name: string, width: number, height = width) => {
    pen.generateTexture(name, width, height);
    pen.clear();
  };
  const outline = [
    [33, 16],
    [4, 26],
    [9, 16],
    [4, 6],
  ].map(([x, y]) => new Phaser.Math.Vector2(x, y));
  pen.lineStyle(2, 0xffffff).fillStyle(0x10182e).fillPoints(outline, true).strokePoints(outline, true, true);
  finish("ship", 36, 32);
  pen.fillStyle(0xffe896).fillTriangle(0, 4, 10, 0, 10, 8);
  finish("flame", 10, 8);
  pen.fillStyle(0x7a7484).fillCircle(ROCK_RADIUS, ROCK_RADIUS, ROCK_RADIUS);
  pen.fillStyle(0x5f5a69).fillCircle(44, 50, 14).fillCircle(84, 78, 20).fillCircle(74, 34, 8);
  finish("rock", 2 * ROCK_RADIUS);
  pen.fillStyle(0xffe896).fillCircle(4, 4, 3);
  finish("bullet", 8);
  pen.fillStyle(0x090b16).fillRect(0, 0, 100, 100).lineStyle(1, 0x1b2138).strokeRect(0, 0, 100, 100);
  finish("grid", 100);
  pen.destroy();
}
