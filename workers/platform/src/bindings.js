// Bindings that Rust reaches in one call each. `worker` wraps them too, for 10 KB more of a Worker.

/** Sends a message to the Durable Object of that name; gives the bytes of its answer. */
export async function callObject(namespace, name, message) {
  return await namespace.getByName(name).call(message.slice());
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

/** Method, URL and headers of a request, a line each; a request without an id is given one. */
export function readHead(request) {
  let text = `${request.method}\n${request.url}`;
  let hasId = false;
  for (const [name, value] of request.headers) {
    text += `\n${name}:${value}`;
    hasId ||= name === "x-request-id";
  }
  return hasId ? text : `${text}\nx-request-id:${crypto.randomUUID()}`;
}

/** A response. `head` has a header a line; `body` is bytes, another response whose body it takes over, or undefined. */
export function respond(status, head, body) {
  const response = new Response(body instanceof Response ? body.body : body, { status });
  // One by one: as a list of pairs in the constructor they take five times as long (40 µs for 13).
  const { headers } = response;
  for (const line of head.split("\n")) {
    const colon = line.indexOf(":");
    headers.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return response;
}

/** The response that the edge cache has under a URL, or undefined. */
export const edgeFind = (url) => caches.default.match(url);

/** What was noted with it. */
export const edgeNote = (response) => response.headers.get("X-Firn-Note") ?? "";

/** Stores bytes under a URL of the edge cache. */
export async function edgeStore(url, note, tags, body, ttlSecs) {
  const headers = { "Cache-Control": `public, max-age=${ttlSecs}`, "X-Firn-Note": note };
  if (tags !== "") headers["Cache-Tag"] = tags;
  await caches.default.put(url, new Response(body.slice(), { headers }));
}

/** Removes what the edge cache has under URLs, a line each. */
export async function edgeRemove(urls) {
  await Promise.all(urls.split("\n").map((url) => caches.default.delete(url)));
}

/** Hands a request on to another Worker. */
export const forward = (service, request) => service.fetch(request);

/**
 * A range of an object in R2: the object's length, its entity tag and the bytes, or null. From an `offset` below 0 on it
 * is the last `length` bytes.
 */
export async function bucketGet(bucket, key, offset, length) {
  const object = await bucket.get(key, { range: offset < 0 ? { suffix: length } : { offset, length } });
  return object === null ? null : [object.size, object.etag, new Uint8Array(await object.arrayBuffer())];
}

/** The whole length and the entity tag of an object in R2, or null. */
export async function bucketHead(bucket, key) {
  const object = await bucket.head(key);
  return object === null ? null : [object.size, object.etag];
}
