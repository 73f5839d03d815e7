// A workerd of its own, without wrangler's proxy and miniflare's entry Worker: each Worker has a socket. And what it costs.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

const MICROS_PER_NANO = 1e-3;

export const quote = JSON.stringify;
export const text = (name, value) => `(name = ${quote(name)}, text = ${quote(value)})`;
export const r2 = (name, service) => `(name = ${quote(name)}, r2Bucket = ${quote(service)})`;
export const external = (name, port) => `(name = ${quote(name)}, external = (address = "127.0.0.1:${port}", http = ()))`;
/** A module of a file that lies beside the configuration. */
export const script = (name) => `(name = ${quote(name)}, esModule = embed ${quote(name)})`;
export const wasm = (name, file = name) => `(name = ${quote(name)}, wasm = embed ${quote(file)})`;

/** A Worker, as a service. `more` are further fields of its configuration. */
export const worker = (name, modules, bindings, more = []) =>
  `(name = ${quote(name)}, worker = (${[`modules = [${modules}]`, `compatibilityDate = "2026-10-01"`, `bindings = [${bindings}]`, ...more].join(", ")}))`;

/** What is still running when a measurement fails. */
export const running = new Set();

/** Starts workerd in a folder that holds the embedded files; `names` are services that get a socket each. */
export async function startWorkerd(folder, services, names) {
  const sockets = names.map((name) => `(name = ${quote(name)}, address = "127.0.0.1:0", http = (), service = ${quote(name)})`);
  const config = join(folder, "config.capnp");
  writeFileSync(config, `using Workerd = import "/workerd/workerd.capnp";\nconst config :Workerd.Config = (services = [${services}], sockets = [${sockets}]);\n`);
  const binary = createRequire(import.meta.url).resolve("@cloudflare/workerd-linux-64/bin/workerd");
  const child = spawn(binary, ["serve", config, "--control-fd=3"], { stdio: ["ignore", "inherit", "inherit", "pipe"] });
  const ports = {};
  for await (const line of createInterface({ input: child.stdio[3] })) {
    const { event, socket, port } = JSON.parse(line);
    if (event === "listen") ports[socket] = port;
    if (names.every((name) => ports[name])) break;
  }
  const stop = () => (child.kill(), once(child, "exit"));
  running.add(stop);
  return { ports, pid: child.pid, stop: () => (running.delete(stop), stop()) };
}

/** CPU time of a thread so far, in microseconds. */
export const threadMicros = (pid, thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]) * MICROS_PER_NANO;

/** CPU time of all threads. */
export const cpuMicros = (pid) => readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + threadMicros(pid, thread), 0);

export const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
