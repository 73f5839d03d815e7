// Bindings that Rust reaches in one call each. `worker` wraps them too, for 10 KB more of a Worker.

/** Sends a message to the Durable Object of that name; gives the bytes of its answer. */
export async function callObject(namespace, name, message) {
  const stub = namespace.get(namespace.idFromName(name));
  const answer = await stub.fetch("http://object/call", { method: "POST", body: message.slice() });
  if (answer.status !== 200) throw new Error(`the object answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Hands a message to the entrypoint that purges edge copies. */
export async function callPurge(purger, message) {
  await purger.purge(message.slice());
}

/** Posts nothing to the Worker behind a service binding. */
export async function postTo(service, url) {
  await service.fetch(url, { method: "POST" });
}

/** The bytes under a key of KV, or undefined. */
export async function kvGet(namespace, key) {
  const value = await namespace.get(key, "arrayBuffer");
  return value === null ? undefined : new Uint8Array(value);
}

/** Stores bytes under a key of KV, for so many seconds; 0: for good. */
export async function kvPut(namespace, key, value, ttlSecs) {
  await namespace.put(key, value.slice(), ttlSecs > 0 ? { expirationTtl: ttlSecs } : undefined);
}
