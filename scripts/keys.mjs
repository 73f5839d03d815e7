// The development key and the tokens made with it. The key is generated on first use, lies in .firn/ (which git
// ignores) and belongs to the clone, so that scripts/token and every running system of it agree.
import { createHmac, randomBytes } from "node:crypto";
import { closeSync, linkSync, mkdirSync, openSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const DIR = fileURLToPath(new URL("../.firn", import.meta.url));
const FILE = join(DIR, "development.key");

export const ISSUER = "https://firn.localhost";
export const AUDIENCE = "firn";

/** The secret of the development key, made on first use. Two processes may ask at once: one link wins. */
export function developmentSecret() {
  for (;;) {
    try {
      return readFileSync(FILE, "utf8").trim();
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
    mkdirSync(DIR, { recursive: true });
    const draft = `${FILE}.${process.pid}`;
    const file = openSync(draft, "wx", 0o600);
    writeSync(file, `${randomBytes(32).toString("base64url")}\n`);
    closeSync(file);
    try {
      linkSync(draft, FILE);
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    } finally {
      unlinkSync(draft);
    }
  }
}

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A JWT signed with HS256. `claims` override the defaults; a claim set to undefined is left out. */
export function mintToken(claims = {}, { secret = developmentSecret(), header = {} } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const payload = { iss: ISSUER, aud: AUDIENCE, iat: now, exp: now + 3600, ...claims };
  const signed = `${encode({ alg: "HS256", typ: "JWT", ...header })}.${encode(payload)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
