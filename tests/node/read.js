// Reads every topic of a box with npm's `mqtt` and holds each body against docs/schema with `ajv`.
// node read.js URL VERSION(4|5) BASE SCHEMAS [CA]: prints one line of JSON; exit code 1 when a
// topic stays silent or a body is not as its schema says.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const Ajv2020 = require("ajv/dist/2020").default;
const formats = require("ajv-formats").default;
const mqtt = require("mqtt");

const [url, version, base, schemas, ca] = process.argv.slice(2);
const five = version === "5";
const ajv = new Ajv2020({ allErrors: true, strict: false });
formats(ajv);
const NAMES = ["result", "status", "info", "health", "alarm", "response"];
const valid = {};
for (const name of NAMES) {
  valid[name] = ajv.compile(JSON.parse(fs.readFileSync(path.join(schemas, `${name}.schema.json`))));
}
const seen = {}; // topic -> how many
const fields = {}; // schema -> fields that came
const faults = [];
const correlation = Buffer.from([0, 1, 2, 255]);
let correlated = !five;
const EXPECTED = ["result", "status", "info", "health", "alarm", "snapshot", "response/trigger",
  "response/snapshot", "response/reload", "response/nothing"];
if (five) EXPECTED.push("response/mine/7");

const client = mqtt.connect(url, {
  protocolVersion: Number(version), clean: true, clientId: `node-${process.pid}`,
  ca: ca ? [fs.readFileSync(ca)] : undefined, reconnectPeriod: 0,
});

function leaves(value, at, into) {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const key of Object.keys(value)) leaves(value[key], at ? `${at}.${key}` : key, into);
  } else into.add(at);
}

function fault(text) {
  if (faults.length < 10) faults.push(text);
}

function ask(name, body, properties) {
  client.publish(`${base}/request/${name}`, JSON.stringify(body), { qos: 1, properties });
}

function checkPicture(payload) {
  if (payload[0] !== 0xff || payload[1] !== 0xd8) fault("snapshot: not a JPEG");
}

function checkProperties(body, packet) {
  const user = (packet.properties || {}).userProperties || {};
  const right = packet.properties.contentType === "application/json" &&
    packet.properties.payloadFormatIndicator === true &&
    packet.properties.messageExpiryInterval > 0 &&
    user.schema === body.schema && user.station === body.station &&
    user.camera === body.camera && user.verdict === body.verdict &&
    user.replayed === String(body.replayed);
  if (!right) fault(`result: properties ${JSON.stringify(packet.properties)}`);
}

client.on("message", (topic, payload, packet) => {
  const name = topic.slice(base.length + 1);
  if (name.startsWith("request/")) return;
  const kind = name.split("/")[0];
  const key = kind === "snapshot" ? kind : name;
  seen[key] = (seen[key] || 0) + 1;
  if (packet.qos !== 1) fault(`${name}: QoS ${packet.qos}`);
  if (kind === "snapshot") return checkPicture(payload);
  if (!valid[kind]) return fault(`${name}: nothing is said of this topic`);
  const body = JSON.parse(payload.toString("utf8"));
  if (!valid[kind](body)) fault(`${name}: ${ajv.errorsText(valid[kind].errors)}`);
  leaves(body, "", (fields[kind] = fields[kind] || new Set()));
  if (five && kind === "result") checkProperties(body, packet);
  if (name === "response/mine/7") {
    correlated = correlation.equals((packet.properties || {}).correlationData || Buffer.alloc(0));
  }
});

client.on("connect", () => client.subscribe(`${base}/#`, { qos: 1 }, (error) => {
  if (error) return end(`subscribe: ${error}`);
  const properties = five
    ? { responseTopic: `${base}/response/mine/7`, correlationData: correlation } : undefined;
  ask("trigger", { transaction: "n1", camera: "parts", part: "P-1" }, properties);
  ask("snapshot", { transaction: "n2", camera: "top" });
  ask("reload", { transaction: "n3" });
  ask("nothing", { transaction: "n4" });
}));
client.on("error", (error) => end(String(error)));
client.on("close", () => end("the connection was closed"));

let over = false;
function end(why) {
  if (over) return;
  over = true;
  const missing = EXPECTED.filter((name) => !seen[name]);
  if (why) fault(why);
  if (missing.length) fault(`silent: ${missing.join(", ")}`);
  if (!correlated) fault("response/mine/7: correlation data is not the request's");
  const counts = Object.fromEntries(Object.entries(fields).map(([k, v]) => [k, v.size]));
  console.log(JSON.stringify({ seen, fields: counts, faults }));
  client.end(true, () => process.exit(faults.length ? 1 : 0));
}
const limit = Date.now() + 60000;
setInterval(() => {
  const whole = EXPECTED.every((name) => seen[name]) && seen.result >= 20;
  if (whole || Date.now() > limit) end("");
}, 50);
