// The rim between workerd and a Worker's wasm module. A panic aborts the instance; the request that met it answers 500,
// and before the next call a fresh instance is started. (worker-build generates the like; written out, it needs no
// tool that downloads others.)

/**
 * @param {object} wasm  the module that wasm-bindgen made
 */
export function guarded(wasm) {
  const state = wasm.__worker_init_state();

  function note(error) {
    if (error instanceof WebAssembly.RuntimeError) {
      console.error("the wasm instance aborted", error);
      state.criticalError = true;
    }
  }

  function refresh() {
    if (state.criticalError) {
      wasm.__wbg_reset_state();
      state.criticalError = false;
      state.instanceId++;
    }
  }

  // An abort inside a spawned future surfaces here only.
  addEventListener("error", (event) => note(event.error));

  // Every wake of a future is one: the runtime's own costs 2.4 µs, a promise's job 0.3.
  const settled = Promise.resolve();
  globalThis.queueMicrotask = (run) => {
    settled.then(run).catch((error) => {
      note(error);
      console.error("uncaught", error);
    });
  };

  async function call(run) {
    refresh();
    try {
      return await run();
    } catch (error) {
      note(error);
      throw error;
    }
  }

  return {
    call,

    /** A fetch handler that never lets an exception reach the runtime's own error page. */
    async fetch(request, env, context) {
      try {
        return await call(() => wasm.fetch(request, env, context));
      } catch (error) {
        console.error("uncaught", error);
        return internalError(request);
      }
    },

    /** A Durable Object class whose Rust instance is made anew after an abort. */
    durableObject(Base, RustClass) {
      return class extends Base {
        #rust;
        #madeBy;

        #instance() {
          refresh();
          if (this.#rust === undefined || this.#madeBy !== state.instanceId) {
            this.#rust = new RustClass(this.ctx, this.env);
            this.#madeBy = state.instanceId;
          }
          return this.#rust;
        }

        fetch(request) {
          return call(() => this.#instance().fetch(request));
        }

        /** A message and its reply, both bytes. By RPC: a request and a response around them cost a fifth more. */
        call(message) {
          return call(() => this.#instance().call(message));
        }

        alarm(info) {
          return call(() => this.#instance().alarm(info));
        }
      };
    },
  };
}

function internalError(request) {
  const requestId = request.headers.get("X-Request-Id") ?? crypto.randomUUID();
  const body = {
    type: "/problems/internal",
    title: "Something went wrong",
    status: 500,
    detail: "the request could not be finished",
    code: "internal",
    request_id: requestId,
  };
  const headers = { "Content-Type": "application/problem+json", "Cache-Control": "no-store", "X-Request-Id": requestId };
  return new Response(JSON.stringify(body), { status: 500, headers });
}
