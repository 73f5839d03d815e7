// Starts the whole system in one workerd: the three Workers with the settings of their wrangler.toml ([env.dev]), R2,
// Durable Objects and the rest of Cloudflare as miniflare has them, behind one origin. Used by scripts/dev, the
// end-to-end tests and the benches alike.
import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

// Miniflare otherwise asks Cloudflare for `request.cf` when it starts.
process.env.CLOUDFLARE_CF_FETCH_ENABLED = "false";
process.env.WRANGLER_LOG = "error";
process.env.WRANGLER_SEND_METRICS = "false";

const { Miniflare, Log, LogLevel, convertV4MiniflareOptions } = await import("miniflare");
const { unstable_getMiniflareWorkerOptions } = await import("wrangler");

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");

const CONFIGS = [
  ["firn-ingest", "wrangler.toml"],
  ["firn-serve", "workers/serve/wrangler.toml"],
  ["firn-lake", "workers/lake/wrangler.toml"],
];

/** One Worker of the system, as miniflare takes it. */
export function workerOptions(name, config, bindings = {}) {
  const { workerOptions: options, main } = quietly(() => unstable_getMiniflareWorkerOptions(join(ROOT, config), "dev"));
  return {
    ...options,
    name,
    rootPath: undefined,
    modules: moduleFiles(dirname(main)),
    modulesRules: undefined,
    bindings: { ...options.bindings, ...bindings },
  };
}

/** A Worker with a module in front of its own. */
function wrap(options, file) {
  if (file === undefined) return options;
  const built = options.modules.map((module) => ({ ...module, path: basename(module.path) }));
  return { ...options, modules: [{ type: "ESModule", path: basename(file), contents: readFileSync(file, "utf8") }, ...built] };
}

// The files of a build, named outright: nothing is bundled or guessed at start-up.
function moduleFiles(dir) {
  const wasm = { type: "CompiledWasm", path: join(dir, "index_bg.wasm"), contents: readFileSync(join(dir, "index_bg.wasm")) };
  const main = { type: "ESModule", path: join(dir, "worker.js"), contents: readFileSync(join(dir, "worker.js"), "utf8") };
  return [main, wasm];
}

// wrangler warns that [[pipelines]] is not repeated in [env.dev]; that it is not is the point.
function quietly(run) {
  const { warn, log } = console;
  console.warn = console.log = () => {};
  try {
    return run();
  } finally {
    Object.assign(console, { warn, log });
  }
}

/**
 * @param {{ port?: number, state: string, secrets: Record<string, string>, vars?: Record<string, Record<string, string>>,
 *           verbose?: boolean, extra?: object[], wrapped?: Record<string, string> }} options  `vars` and
 *   `wrapped` by the Worker's name; a wrapping module imports the Worker's own as `./worker.js`
 */
export async function start({ port = 0, state, secrets, vars = {}, verbose = false, extra = [], wrapped = {} }) {
  mkdirSync(state, { recursive: true });
  const bindings = (name) => ({ ...(name === "firn-lake" ? {} : secrets), ...vars[name] });
  // wrangler still speaks miniflare 4's options; miniflare 5 brings the translation.
  const options = convertV4MiniflareOptions({
    host: "127.0.0.1",
    port,
    log: new Log(verbose ? LogLevel.INFO : LogLevel.WARN),
    handleStructuredLogs: verbose ? ({ message }) => console.error(message) : ownLogLines,
    cf: false,
    resourcePersistencePath: state,
    workers: [...CONFIGS.map(([name, config]) => wrap(workerOptions(name, config, bindings(name)), wrapped[name])), ...extra],
  });
  const runtime = new Miniflare(options);
  const url = await runtime.ready;
  return { origin: `http://localhost:${url.port}`, dispose: () => runtime.dispose(), workerdPid: () => childNamed("workerd"), runtime };
}

// Our own error lines (JSON) and crashes pass; workerd's chatter about cancelled streams does not.
function ownLogLines({ level, message }) {
  if (level === "error" && (message.startsWith("{") || /panicked|aborted|uncaught/i.test(message))) console.error(message);
}

/** The process of that name which this process started. */
function childNamed(name) {
  for (const pid of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const [, command, parent] = /^\d+ \((.*)\) \S (\d+)/.exec(stat);
      if (Number(parent) === process.pid && command.startsWith(name)) return Number(pid);
    } catch {
      // The process ended meanwhile.
    }
  }
  throw new Error(`no child process named ${name}`);
}

/** Throws one clear line where the port is taken. */
export async function requireFreePort(port) {
  await new Promise((done, fail) => {
    const probe = createServer();
    probe.once("error", (error) => fail(new Error(error.code === "EADDRINUSE" ? `port ${port} is taken; choose another with --port` : `port ${port}: ${error.message}`)));
    probe.listen(port, "127.0.0.1", () => probe.close(done));
  });
}
