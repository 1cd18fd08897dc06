// Verifies an export of a Rutter log in another language than Rutter's, from docs/design/audit.md alone:
//
//   zstd -dc november.rutter | node verify.mjs auditor.vkey [kept-checkpoint.txt]
//
// Node's own modules are all it needs. Exit code 0: every event is what was signed.
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const sha256 = (...parts) => parts.reduce((h, p) => h.update(p), createHash("sha256")).digest();
const leafHash = (line) => sha256(Buffer.from([0]), line);
const nodeHash = (left, right) => sha256(Buffer.from([1]), left, right);
const fail = (why) => { console.error(why); process.exit(1); };

// A public key in the note format: <name>+<hash>+<base64 of algorithm 1 and the Ed25519 key>.
const vkey = readFileSync(process.argv[2], "utf8").trim();
const [, name, , encoded] = vkey.match(/^([^+]+)\+([0-9a-f]{8})\+(.+)$/) ?? fail("no public key");
const raw = Buffer.from(encoded, "base64");
const key = createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x: raw.subarray(1).toString("base64url") } });
const keyHash = sha256(name, "\n", raw).subarray(0, 4);

// A signed note: text, an empty line, signatures "— <name> <base64 of key hash and signature>".
function open(note) {
  const end = note.indexOf("\n\n") + 1;
  const text = note.slice(0, end);
  const signed = note.slice(end + 1).split("\n").some((line) => {
    const [dash, who, signature] = line.split(" ");
    const bytes = Buffer.from(signature ?? "", "base64");
    return dash === "—" && who === name && bytes.subarray(0, 4).equals(keyHash) && verify(null, Buffer.from(text), key, bytes.subarray(4));
  });
  if (!signed) fail("the checkpoint is not signed by " + name);
  const [origin, size, root] = text.split("\n");
  if (origin !== name) fail("the checkpoint is of another log");
  return { size: Number(size), root: Buffer.from(root, "base64") };
}

// The peaks of the tree so far, each the root of a perfect subtree of `width` events.
const peaks = [];
function append(hash) {
  let width = 1;
  while (peaks.length > 0 && peaks.at(-1).width === width) {
    hash = nodeHash(peaks.pop().hash, hash);
    width *= 2;
  }
  peaks.push({ width, hash });
}
const rootNow = () => peaks.map((p) => p.hash).reduceRight((right, left) => nodeHash(left, right));

// Lines as bytes: other line ends than LF, such as U+2028, may stand in the data.
async function* lines(input) {
  let rest = Buffer.alloc(0);
  for await (const chunk of input) {
    rest = Buffer.concat([rest, chunk]);
    for (let end; (end = rest.indexOf(10)) >= 0; rest = rest.subarray(end + 1)) yield rest.subarray(0, end);
  }
}

const checkpoints = process.argv[3] ? [open(readFileSync(process.argv[3], "utf8"))] : [];
let sequence = 0, last = 0, proven = 0;
for await (const bytes of lines(process.stdin)) {
  const line = bytes.toString("utf8");
  if (line.startsWith('{"rutterExport":')) {
    const header = JSON.parse(line);
    if (header.first !== 1) fail("this example wants a whole log");
    last = header.last;
    if (header.checkpoint) checkpoints.push(open(header.checkpoint));
  } else if (!line.startsWith('{"seal":') && !line.startsWith('{"end":')) {
    sequence++;
    if (!line.includes(`"sequence":"${String(sequence).padStart(20, "0")}"`)) fail(`event ${sequence} is not in its place`);
    append(leafHash(bytes));
    for (const c of checkpoints.filter((c) => c.size === sequence)) {
      if (!c.root.equals(rootNow())) fail(`events 1 to ${sequence} are not what was signed`);
      proven = sequence;
    }
  }
}
if (sequence !== last) fail(`event ${sequence + 1} is missing: the tail is cut`);
for (const c of checkpoints) if (c.size > last) fail(`event ${last + 1} is missing: a checkpoint covers ${c.size}`);
console.log(`events 1 to ${proven} are what was signed`);
if (proven < last) console.log(`${proven + 1} to ${last} are newer than the checkpoint`);
