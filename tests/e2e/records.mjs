// Random records whose every byte is known: how a line is written, and what must be read back of it.
import { createHash } from "node:crypto";

/** Extension, field and media type of every representation but the whole record (design.md §3). */
export const REPRESENTATIONS = [
  [".md", "markdown", "text/markdown; charset=utf-8"],
  [".mdx", "mdx", "text/mdx; charset=utf-8"],
  [".html", "html", "text/html; charset=utf-8"],
  [".css", "css", "text/css; charset=utf-8"],
  [".js", "esm", "text/javascript; charset=utf-8"],
  [".mjs", "esm", "text/javascript; charset=utf-8"],
  [".d.ts", "dts", "application/typescript; charset=utf-8"],
  [".json", "frontmatter", "application/json"],
  [".mdast.json", "mdast", "application/json"],
  [".hast.json", "hast", "application/json"],
  [".estree.json", "estree", "application/json"],
  [".tsast.json", "tsast", "application/json"],
];

const STRINGS = ["markdown", "mdx", "html", "esm", "dts", "css"];
const TREES = ["mdast", "hast", "estree", "tsast"];
/** Content fields in the order of the table, which is the order of the hash. */
const CONTENT = [...STRINGS, ...TREES, "frontmatter", "dependencies", "exports"];

const ALPHABETS = [
  "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJ 0123456789 .,;:-_#*`<>&/'\n",
  "雪氷河記録頁書物言葉仮名漢字한국어텍스트简体中文。、「」\n",
  "😀🎉👩‍👩‍👧‍👦🏔️🇩🇪👍🏽❄️ ",
  "aé雪😀\"\\\n\r\t\u0000\u001f\u2028\u007f\ufeff\u{10ffff} ж",
].map((text) => [...text]);

const LARGE_LEN_BYTES = 200_000;

/** Text of about so many bytes in UTF-8. */
function randomText(random, lenBytes) {
  // Escapes are up to six times as long as what they mean; large text has few, so that it fits a record.
  const letters = random.pick(lenBytes > LARGE_LEN_BYTES ? ALPHABETS.slice(0, 3) : ALPHABETS);
  let piece = "";
  const wanted = Math.max(1, Math.min(lenBytes, 4_000));
  while (Buffer.byteLength(piece) < wanted) piece += random.pick(letters);
  // Large text repeats a random piece, with a counter so that no two pages are alike.
  if (lenBytes <= 4_000) return piece;
  const pieceLenBytes = Buffer.byteLength(piece);
  return Array.from({ length: Math.floor(lenBytes / pieceLenBytes) }, (_, idx) => `${piece}${idx}`).join("");
}

/** JSON text written as no serialiser would: space, escapes and spellings of numbers that must all survive. */
function randomTree(random, depth = 0) {
  const space = () => random.pick(["", "", "", " ", "\t", "  "]);
  const kind = depth > 3 ? random.int(0, 5) : random.int(0, 8);
  const list = (count, item) => Array.from({ length: count }, () => `${space()}${item()}${space()}`).join(",");
  switch (kind) {
    case 0: return random.pick(["0", "-0", "1.0", "1.50e2", "1E-7", "12345678901234567890", "-1.7976931348623157e308", "5e-324"]);
    case 1: return random.pick(["true", "false", "null"]);
    case 2: return random.pick(['"\\u00e9"', '"é"', '"\\/"', '"\\ud83d\\ude00"', '"😀"', '"\\u0000"', '""']);
    case 3: return JSON.stringify(randomText(random, random.int(1, 60)));
    case 4: return random.pick(["[]", "{}", "[ ]", "{ }"]);
    case 5: return `[${list(random.int(1, 5), () => randomTree(random, depth + 1))}]`;
    default: return randomObject(random, depth);
  }
}

function randomObject(random, depth = 0) {
  const space = () => random.pick(["", " "]);
  const members = Array.from({ length: random.int(1, 5) }, (_, idx) => `${space()}"${random.pick(["type", "b", "雪", "\\u0061"])}${idx}"${space()}:${randomTree(random, depth + 1)}`);
  return `{${members.join(",")}}`;
}

/** A JSON string with every character beyond ASCII escaped, as Python writes it. */
const asciiString = (text) => JSON.stringify(text).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

/**
 * One record.
 * @returns {{ key: {ns: string, type: string, id: string}, line: string, texts: Map<string, string>, artifact: object }}
 *   `line`: what is sent; `texts`: what each content field must read; `artifact`: what `.artifact.json` must hold of it.
 */
export function randomRecord(random, { ns, id, lenBytes, everything = false, visibility }) {
  const key = { ns, type: random.pick(["page", "Post", "a.b_c-1"]), id };
  const members = Object.entries(key).map(([name, value]) => [name, JSON.stringify(value)]);
  const artifact = { ...key };
  const texts = new Map();
  const fields = CONTENT.filter(() => everything || random.next() < 0.25);
  if (!fields.some((field) => STRINGS.includes(field) || TREES.includes(field))) fields.unshift(random.pick([...STRINGS, ...TREES]));
  for (const field of fields) {
    if (STRINGS.includes(field)) {
      const text = randomText(random, Math.floor(lenBytes / fields.length));
      texts.set(field, text);
      artifact[field] = text;
      members.push([field, lenBytes > LARGE_LEN_BYTES || random.next() < 0.5 ? JSON.stringify(text) : asciiString(text)]);
    } else if (TREES.includes(field) || field === "frontmatter") {
      const json = field === "frontmatter" ? randomObject(random) : randomTree(random);
      texts.set(field, json);
      artifact[field] = JSON.parse(json);
      members.push([field, json]);
    } else {
      const list = Array.from({ length: random.int(0, 4) }, () => randomText(random, random.int(1, 30)));
      texts.set(field, list);
      artifact[field] = list;
      members.push([field, JSON.stringify(list)]);
    }
  }
  if (everything || random.next() < 0.3) {
    const json = randomObject(random);
    artifact.metadata = JSON.parse(json);
    members.push(["metadata", json]);
  }
  artifact.visibility = visibility ?? random.pick(["public", "unlisted"]);
  if (artifact.visibility !== "public") members.push(["visibility", JSON.stringify(artifact.visibility)]);
  // The order of a record's members is nobody's business.
  members.sort(() => random.next() - 0.5);
  const line = `{${members.map(([name, json]) => `${JSON.stringify(name)}: ${json}`).join(", ")}}`;
  return { key, line, texts, artifact };
}

/** SHA-256 over the content fields in the order of the table, each name- and length-prefixed (design.md §2). */
export function contentHash(texts) {
  const hash = createHash("sha256");
  const add = (text) => {
    hash.update(lenOf(Buffer.byteLength(text)));
    hash.update(text);
  };
  for (const field of CONTENT.filter((name) => texts.has(name))) {
    const value = texts.get(field);
    add(field);
    if (Array.isArray(value)) {
      hash.update(lenOf(value.length));
      value.forEach(add);
    } else {
      add(value);
    }
  }
  return hash.digest("hex");
}

/** Bytes of the content as stored. */
export const contentSize = (texts) => [...texts.values()].flat().reduce((sum, text) => sum + Buffer.byteLength(text), 0);

function lenOf(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
