// Talks to an echo server with the "ws" package and prints what happened as one line of JSON.
// usage: node client.mjs <url> <server-closes | client-closes>
import { WebSocket } from "ws";

const [url, who] = process.argv.slice(2);
const report = { echoes: [], pong: null, protocol: null, code: null, reason: null };
const socket = new WebSocket(url, ["tickwire"]);

const finish = (status) => {
  console.log(JSON.stringify(report));
  process.exit(status);
};
setTimeout(() => finish(1), 8000).unref();

socket.on("open", () => {
  report.protocol = socket.protocol;
  socket.send(Buffer.from("hello"));
  socket.ping("are you there");
  socket.send(Buffer.from("one"));
  socket.send(Buffer.from("frag"), { fin: false });
  socket.ping("inside");
  socket.send(Buffer.from("mented"), { fin: true });
  socket.send(Buffer.alloc(4096, 7));
});
socket.on("pong", (payload) => {
  report.pong ??= payload.toString();
});
socket.on("message", (data, isBinary) => {
  report.echoes.push(isBinary ? data.length : "text");
  if (report.echoes.length < 3) return;
  if (who === "client-closes") socket.close(4321, "done");
  else socket.send(Buffer.from("close me"));
});
socket.on("close", (code, reason) => {
  report.code = code;
  report.reason = reason.toString();
  finish(0);
});
socket.on("error", (error) => {
  report.reason = String(error);
  finish(1);
});
