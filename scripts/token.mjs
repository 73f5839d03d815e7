import { parseArgs } from "node:util";
import { mintToken } from "./keys.mjs";

const USAGE = `usage: scripts/token --ns NS[,NS…] [--sub USER] [--org ORG] [--scope "SCOPE …"] [--role ROLE[,ROLE…]] [--ttl 1h]
Prints a token that the development system accepts. Scopes: artifacts:read, artifacts:write, artifacts:admin
(default: read and write). --ttl takes seconds, or a number with s, m, h or d (default 1h).`;

const UNITS = { "": 1, s: 1, m: 60, h: 3600, d: 86400 };

function fail(message) {
  console.error(`error: ${message}\n${USAGE}`);
  process.exit(2);
}

const text = { type: "string" };
let values;
try {
  ({ values } = parseArgs({
    options: { ns: { ...text, multiple: true }, sub: text, org: text, scope: { ...text, multiple: true }, role: { ...text, multiple: true }, ttl: text, help: { type: "boolean" } },
  }));
} catch (error) {
  fail(error.message);
}
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const list = (given) => given?.flatMap((item) => item.split(/[,\s]+/)).filter(Boolean);
const ttl = /^(-?\d+)([smhd]?)$/.exec(values.ttl ?? "1h");
if (!ttl) fail(`--ttl ${values.ttl} is not a duration`);
const now = Math.floor(Date.now() / 1000);
console.log(
  mintToken({
    ns: list(values.ns) ?? [],
    sub: values.sub,
    org: values.org,
    roles: list(values.role),
    scope: (list(values.scope) ?? ["artifacts:read", "artifacts:write"]).join(" "),
    exp: now + Number(ttl[1]) * UNITS[ttl[2]],
  }),
);
