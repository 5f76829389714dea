import { defineConfig } from "vite";

const GAME_SERVER = "http://127.0.0.1:8765";

export default defineConfig({
  server: {
    // `npm run dev` serves the page, the game server the rest: one line for each room that the page joins.
    proxy: { "/arena": { target: GAME_SERVER, ws: true } },
  },
});
