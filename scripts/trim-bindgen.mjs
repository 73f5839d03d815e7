// Takes out of what wasm-bindgen made whatever a Worker never uses: `worker` and `wasm-streams` export classes, and what
// is exported stays in the module however little of it is called.
//
//   trim-bindgen.mjs INDEX WASM ENTRY
//
// Rewrites INDEX, wasm-bindgen's JavaScript, without the classes that neither ENTRY (as `wasm.Name`) nor any other code
// of INDEX names; and WASM without the exports that INDEX then does not name. wasm-opt does the rest.
import { readFileSync, writeFileSync } from "node:fs";

const EXPORT_SECTION = 7;

const [indexFile, wasmFile, entryFile] = process.argv.slice(2);
const index = withoutUnusedClasses(readFileSync(indexFile, "utf8"), namesIn(readFileSync(entryFile, "utf8")));
writeFileSync(indexFile, index);
writeFileSync(wasmFile, withExports(readFileSync(wasmFile), namesIn(index)));

/** What a source names as `wasm.Name`. */
function namesIn(source) {
  return new Set([...source.matchAll(/\bwasm\.(\w+)/g)].map(([, name]) => name));
}

function withoutUnusedClasses(source, used) {
  for (const [, name] of source.matchAll(/^(?:export )?class (\w+) \{$/gm)) {
    if (used.has(name)) continue;
    const blocks = [
      new RegExp(`^(?:export )?class ${name} \\{\\n[^]*?^\\}\\n`, "m"),
      new RegExp(`^if \\(Symbol\\.dispose\\) ${name}\\..*\\n`, "m"),
      new RegExp(`^const ${name}Finalization = [^]*?^\\}\\);\\n`, "m"),
    ];
    const trimmed = blocks.reduce((text, block) => text.replace(block, ""), source);
    if (!new RegExp(`\\b${name}(?:Finalization)?\\b`).test(trimmed)) source = trimmed;
  }
  return source;
}

/** The module with those of its exports alone (WebAssembly core specification, §5.5.10). */
function withExports(module, names) {
  const pieces = [module.subarray(0, 8)];
  for (let at = 8; at < module.length; ) {
    const [len, body] = unsigned(module, at + 1);
    pieces.push(module[at] === EXPORT_SECTION ? exportSection(module, body, names) : module.subarray(at, body + len));
    at = body + len;
  }
  return Buffer.concat(pieces);
}

function exportSection(module, body, names) {
  let [left, at] = unsigned(module, body);
  const kept = [];
  for (; left > 0; left--) {
    const [len, name] = unsigned(module, at);
    const [, end] = unsigned(module, name + len + 1);
    if (names.has(module.toString("utf8", name, name + len))) kept.push(module.subarray(at, end));
    at = end;
  }
  const section = Buffer.concat([encoded(kept.length), ...kept]);
  return Buffer.concat([Buffer.from([EXPORT_SECTION]), encoded(section.length), section]);
}

/** An unsigned LEB128 number at a place, and the place after it. */
function unsigned(bytes, at) {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
}

function encoded(value) {
  const bytes = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
  return Buffer.from([...bytes, value]);
}
