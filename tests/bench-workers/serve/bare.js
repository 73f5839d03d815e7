// The floors: a hit of the Cache API, and one get from R2, of the same content as Firn's answers. `key` is told in a header.
function withHead(hit, request) {
  const response = new Response(hit.body, hit);
  response.headers.set("Age", "38");
  response.headers.set("Cache-Status", "firn; hit; ttl=262");
  response.headers.set("X-Artifact-Source", "cache");
  response.headers.set("X-Request-Id", request.headers.get("X-Request-Id") ?? crypto.randomUUID());
  response.headers.delete("CF-Cache-Status");
  return response;
}

class Cache {
  static async fetch(request, env) {
    const url = new URL(request.url);
    const hit = await caches.default.match(url.href);
    if (hit) return request.headers.get("head") === "own" ? withHead(hit, request) : hit;
    const object = await env.LAKE_BUCKET.get(request.headers.get("key"));
    const headers = { "Content-Type": "text/markdown; charset=utf-8", "Cache-Control": "public, max-age=360", ETag: '"1.md"' };
    const response = new Response(await object.arrayBuffer(), { headers });
    await caches.default.put(url.href, response.clone());
    return response;
  }
}

export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname.startsWith("/cached/")) return Cache.fetch(request, env);
    const object = await env.LAKE_BUCKET.get(request.headers.get("key"));
    return new Response(await object.arrayBuffer(), { headers: { "Content-Type": "text/markdown; charset=utf-8" } });
  },
};
