// node receiver.mjs FILE PORT: takes what cmcwh posts (format=json), each event once, as a line of FILE, and answers
// when it is stored. TOKEN in the environment is the one that cmcwh shows. Any error of the disk ends it, and cmcwh
// waits until it has been started again.
import { fsyncSync, ftruncateSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";

const [path, port] = process.argv.slice(2);
const wanted = "Bearer " + process.env.TOKEN;

const linesOf = (bytes) => bytes.toString().split("\n").slice(0, -1);

function idOf(line) {
  const { id } = JSON.parse(line);
  if (typeof id !== "string") throw new SyntaxError("no id");
  return id;
}

const file = openSync(path, "a+");
const before = readFileSync(path);
const whole = before.subarray(0, before.lastIndexOf("\n") + 1); // what broke off behind it was never answered
ftruncateSync(file, whole.length);
const known = new Set(linesOf(whole).map(idOf));

function store(events) {
  writeFileSync(file, [...events.values()].map((line) => line + "\n").join(""));
  fsyncSync(file);
  for (const id of events.keys()) known.add(id);
}

function answer(request, body) {
  if (request.headers.authorization !== wanted) return 401;
  let events; // by their ids
  try {
    events = new Map(linesOf(body).map((line) => [idOf(line), line]).filter(([id]) => !known.has(id)));
  } catch {
    return 400;
  }
  store(events);
  return 200;
}

createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => response.writeHead(answer(request, Buffer.concat(parts)), { "Content-Length": 0 }).end());
}).listen(Number(port), "127.0.0.1");
