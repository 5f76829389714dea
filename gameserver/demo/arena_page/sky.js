// What is behind everything: stars in three depths, and clouds of light. Drawn once into tiles, then only moved.

import { chance } from "./shapes.js";

const TILE = 512;
const SMALLER = 6;

/** By how much of the camera's way each layer moves, its stars on a tile, and how large and bright they are. */
const LAYERS = [
  { depth: 0.12, stars: 90, size: 1, tones: ["#4a5273", "#565f86", "#3d4463"] },
  { depth: 0.28, stars: 34, size: 1.4, tones: ["#7d88b3", "#8d97bf", "#6f7aa6"] },
  { depth: 0.5, stars: 10, size: 2, tones: ["#c3cdf0", "#ffe9c9", "#bfe6ff"] },
];

const CLOUDS = [
  { x: 0.18, y: 0.25, radius: 0.55, colour: "38 58 120", depth: 0.04 },
  { x: 0.82, y: 0.7, radius: 0.6, colour: "84 38 106", depth: 0.05 },
  { x: 0.55, y: 0.1, radius: 0.4, colour: "20 82 96", depth: 0.06 },
];

export class Sky {
  constructor() {
    this.width = 0;
    this.height = 0;
    /** @type {HTMLCanvasElement[]} */
    this.tiles = [];
    /** @type {HTMLCanvasElement[]} */
    this.clouds = CLOUDS.map(({ colour }) => cloud(colour));
    /** Clouds are soft, so they are painted small and shown large: a screen full of them is costly without a GPU. */
    this.small = document.createElement("canvas");
    this.haze = /** @type {CanvasRenderingContext2D} */ (this.small.getContext("2d", { alpha: false }));
  }

  /**
   * @param {number} width of the screen, in CSS pixels
   * @param {number} height
   * @param {number} ratio device pixels for each
   */
  resize(width, height, ratio) {
    this.width = width;
    this.height = height;
    this.small.width = Math.ceil(width / SMALLER);
    this.small.height = Math.ceil(height / SMALLER);
    this.tiles = LAYERS.map((layer, i) => starTile(layer, ratio, i + 1));
  }

  /**
   * @param {CanvasRenderingContext2D} paint in CSS pixels
   * @param {number} x the camera's place
   * @param {number} y
   * @param {number} scale
   */
  draw(paint, x, y, scale) {
    this.drawClouds(x, y);
    paint.drawImage(this.small, 0, 0, this.width, this.height);
    this.tiles.forEach((tile, i) => {
      const { depth } = LAYERS[i];
      const left = -modulo(x * depth * scale, TILE);
      const top = -modulo(y * depth * scale, TILE);
      for (let tx = left; tx < this.width; tx += TILE) {
        for (let ty = top; ty < this.height; ty += TILE) paint.drawImage(tile, tx, ty, TILE, TILE);
      }
    });
  }

  /** @param {number} x the camera's place @param {number} y */
  drawClouds(x, y) {
    const { haze, small } = this;
    haze.fillStyle = "#090b16";
    haze.fillRect(0, 0, small.width, small.height);
    const size = Math.max(small.width, small.height);
    CLOUDS.forEach((each, i) => {
      const radius = each.radius * size;
      // They sway instead of passing: a cloud never leaves the picture.
      const left = each.x * small.width + Math.sin((x * each.depth) / 160) * size * 0.12 - radius;
      const top = each.y * small.height + Math.sin((y * each.depth) / 160) * size * 0.12 - radius;
      haze.drawImage(this.clouds[i], left, top, radius * 2, radius * 2);
    });
  }
}

/** @param {number} value @param {number} width */
function modulo(value, width) {
  return value - width * Math.floor(value / width);
}

/**
 * @param {typeof LAYERS[0]} layer
 * @param {number} ratio
 * @param {number} seed
 */
function starTile({ stars, size, tones }, ratio, seed) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = TILE * ratio;
  const paint = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const random = chance(seed);
  paint.scale(ratio, ratio);
  for (let i = 0; i < stars; i++) {
    paint.fillStyle = tones[Math.floor(random() * tones.length)];
    paint.beginPath();
    const radius = size * (0.5 + random() * 0.5);
    paint.arc(3 + random() * (TILE - 6), 3 + random() * (TILE - 6), radius, 0, 2 * Math.PI);
    paint.fill();
  }
  return canvas;
}

/** @param {string} colour */
function cloud(colour) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 256;
  const paint = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const light = paint.createRadialGradient(128, 128, 0, 128, 128, 128);
  light.addColorStop(0, `rgb(${colour} / 42%)`);
  light.addColorStop(0.5, `rgb(${colour} / 16%)`);
  light.addColorStop(1, `rgb(${colour} / 0%)`);
  paint.fillStyle = light;
  paint.fillRect(0, 0, 256, 256);
  return canvas;
}
