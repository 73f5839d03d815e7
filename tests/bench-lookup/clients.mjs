// The three readers of the comparison, each a process that answers a line of JSON with a line of JSON.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));

/** Longest that a lookup may take: PyIceberg needs half a minute for a thousand files at 30 ms a request. */
const ANSWER_MILLIS_MAX = 180_000;

class Client {
  constructor(name, command, args) {
    this.name = name;
    this.process = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
    this.ended = once(this.process, "exit");
  }

  async ask(question) {
    this.process.stdin.write(`${JSON.stringify(question)}\n`);
    let timer;
    const late = new Promise((_, fail) => {
      timer = setTimeout(() => fail(new Error(`${this.name}: no answer to ${JSON.stringify(question)}`)), ANSWER_MILLIS_MAX);
    });
    try {
      const { value } = await Promise.race([this.lines.next(), late]);
      if (value === undefined) throw new Error(`${this.name} ended at ${JSON.stringify(question)}`);
      return JSON.parse(value);
    } finally {
      clearTimeout(timer);
    }
  }

  async close() {
    this.process.stdin.end();
    this.process.kill();
    await this.ended;
  }
}

/** Starts the readers of a store at `origin`. */
export function startClients({ origin, bucket, folder, python, native }) {
  return {
    firn: new Client("Firn", join(native, "firn-bench-lookup"), [origin, bucket, folder]),
    pyiceberg: new Client("PyIceberg", python, [join(HERE, "pyiceberg_client.py"), origin]),
    javascript: new Client("icebird + hyparquet", process.execPath, [join(HERE, "hyparquet_client.mjs"), origin, bucket]),
  };
}
