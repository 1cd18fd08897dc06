// Says which nodes of a Rutter cluster are lost, one JSON line each, and misses none while it does not run.
//
//   npm ci
//   NATS_URL=nats://127.0.0.1:4222 NATS_CREDS=pager.creds node node-loss.mjs
//
// POSITION is the file in which it keeps where it stands (position.json); NATS_CA the certificate authority of the servers, where they use TLS.
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { connect, credsAuthenticator } from "@nats-io/transport-node";
import { jetstream } from "@nats-io/jetstream";

const creds = readFileSync(process.env.NATS_CREDS);
const position = process.env.POSITION ?? "position.json";

// Replies may come to the inbox of these credentials alone; the user's name stands in the token.
const token = /BEGIN NATS USER JWT-+\s+(\S+)/.exec(creds.toString())[1];
const user = JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString()).name;

const nc = await connect({
  servers: (process.env.NATS_URL ?? "nats://127.0.0.1:4222").split(","),
  authenticator: credsAuthenticator(creds),
  inboxPrefix: `_INBOX_${user}`,
  maxReconnectAttempts: -1,
  tls: process.env.NATS_CA ? { caFile: process.env.NATS_CA } : undefined,
});

let at = existsSync(position) ? JSON.parse(readFileSync(position, "utf8")) : { sequence: 0 };

// The position is replaced whole: a program that is killed here keeps the old one or the new one.
function keep(next) {
  const file = openSync(`${position}.new`, "w", 0o600);
  writeSync(file, JSON.stringify(next));
  fsyncSync(file);
  closeSync(file);
  renameSync(`${position}.new`, position);
  at = next;
}

// An attribute of the CloudEvent: a header whose value is percent-encoded UTF-8.
function attribute(message, name) {
  const raw = message.headers?.get(`ce-${name}`) ?? "";
  return raw === "" ? undefined : decodeURIComponent(raw);
}

// With a position the event that it stands on comes once more, to see that the log is still the same.
const consumer = await jetstream(nc).consumers.get("EVENTS", { filter_subjects: "evt.node.*", opt_start_seq: Math.max(at.sequence, 1) });
for await (const message of await consumer.consume()) {
  const id = attribute(message, "id");
  if (message.seq <= at.sequence) {
    if (message.seq === at.sequence && id !== at.id) {
      throw new Error(`event ${message.seq} is ${id} and was ${at.id}: another log`);
    }
    continue;
  }
  const type = attribute(message, "type"); // run.rutter.node.lost.v1; a later version may say more
  if (type?.startsWith("run.rutter.node.lost.")) {
    const data = message.json();
    // Whoever must not hear of it twice remembers the id: it is unique for ever.
    console.log(JSON.stringify({ id, sequence: message.seq, node: message.subject.split(".")[2], silent: data.silent, actor: attribute(message, "actor") }));
  }
  keep({ sequence: message.seq, id });
}
