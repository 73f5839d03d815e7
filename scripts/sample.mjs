// Real sample data: an npm package that the lock file has, as artifacts. Files of one folder that differ only in their
// extension become one artifact: home.md, home.js, home.css are representations of "home".
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PACKAGE = "highlight.js";
const DIR = fileURLToPath(new URL(`../node_modules/${PACKAGE}`, import.meta.url));

// The longer extension first: .d.ts would otherwise never be seen.
const FIELDS = [
  [".d.ts", "dts"],
  [".md", "markdown"],
  [".css", "css"],
  [".js", "esm"],
  [".json", "frontmatter"],
];

export const SAMPLE = {
  ns: "npm.example",
  type: "package",
  title: `${PACKAGE} ${JSON.parse(readFileSync(join(DIR, "package.json"), "utf8")).version} from npm`,
  show: [`${PACKAGE}/README.md`, `${PACKAGE}/styles/github.css`, `${PACKAGE}/package.json`],
};

/** The package's files as records, in the order of their ids. */
export function sampleRecords() {
  const records = new Map();
  for (const entry of readdirSync(DIR, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath ?? entry.path, entry.name);
    const path = `${PACKAGE}/${file.slice(DIR.length + 1)}`;
    const [extension, field] = FIELDS.find(([ending]) => path.endsWith(ending)) ?? [];
    if (field === undefined) continue;
    const id = path.slice(0, -extension.length);
    const text = readFileSync(file, "utf8");
    const record = records.get(id) ?? { ns: SAMPLE.ns, type: SAMPLE.type, id };
    record[field] = field === "frontmatter" ? JSON.parse(text) : text;
    records.set(id, record);
  }
  return [...records.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}
