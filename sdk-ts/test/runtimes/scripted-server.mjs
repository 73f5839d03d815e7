// The server behind scripted.ts: plays scripts that tests hand in, in whatever runtime they run. It also serves the page
// in which they run in a browser, so that they need no CORS.
//
//   POST   /control                    the script's steps -> its id
//   GET    /control/{id}/received      the requests so far
//   GET    /control/{id}/arrived/{n}   answers when n requests have come
//   DELETE /control/{id}
//   *      /s/{id}/…                   the script itself
import { once } from 'node:events'
import { createServer } from 'node:http'
import { gunzipSync } from 'node:zlib'

const LENGTH_BYTES_MAX = 1_000_000_000

/** Starts it on a free port. `pages` are further answers, by path. */
export async function startScriptedServer(pages = {}) {
  const scripts = new Map()
  const server = createServer((request, response) => void serve(scripts, pages, request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${server.address().port}`
  const stop = () => {
    server.closeAllConnections()
    server.close()
  }
  return { origin, stop }
}

async function serve(scripts, pages, request, response) {
  // What breaks on a connection that was used before, browsers repeat by themselves.
  response.setHeader('connection', 'close')
  const pieces = []
  try {
    // A length that nobody would send is answered as it is declared.
    if (Number(request.headers['content-length'] ?? 0) < LENGTH_BYTES_MAX) for await (const piece of request) pieces.push(piece)
  } catch {
    // The client has gone.
    return response.destroy()
  }
  const bytes = Buffer.concat(pieces)
  const [, kind, id, what, count] = request.url.split('/')
  if (kind === 'control') return control(scripts, { method: request.method, id, what, count, bytes }, response)
  const script = kind === 's' ? scripts.get(id) : undefined
  if (script === undefined) {
    const [type, body] = pages[request.url] ?? []
    return response.writeHead(body === undefined ? 404 : 200, { 'content-type': type ?? 'text/plain' }).end(body)
  }
  const body = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString('utf8')
  const url = request.url.slice(`/s/${id}`.length)
  script.received.push({ method: request.method, url, headers: request.headers, body })
  for (const tell of script.watchers.splice(0)) tell()
  const step = script.steps.length > 1 ? script.steps.shift() : script.steps[0]
  play(step, { url, body }, response)
}

function control(scripts, { method, id, what, count, bytes }, response) {
  if (method === 'POST') {
    const made = String(scripts.size + 1)
    scripts.set(made, { steps: JSON.parse(bytes), received: [], watchers: [], open: [] })
    return response.end(made)
  }
  const script = scripts.get(id)
  if (method === 'DELETE') {
    script.steps = [{ does: 'reset' }]
    return response.end()
  }
  if (what === 'received') return response.end(JSON.stringify(script.received))
  const tell = () => {
    if (script.received.length >= Number(count)) response.end()
    else script.watchers.push(tell)
  }
  tell()
}

function play(step, { url, body }, response) {
  switch (step.does) {
    case 'answer':
      return response.writeHead(step.status, step.headers).end(step.body === '' ? undefined : step.body)
    case 'take':
      return response.writeHead(200, { 'content-type': 'application/json' }).end(
        JSON.stringify({
          accepted: body.split('\n').length - 1, unchanged: 0, rejected: 0, chunks: 1, pipeline: 'artifacts_build', mode: 'build',
          estimatedAvailableAt: '2026-11-20T09:54:48.545000Z', errors: [], requestId: 'r-1',
        }),
      )
    case 'reset':
      return response.destroy()
    case 'reset mid-body':
      response.writeHead(200, { 'content-type': typeOf(url), 'content-length': '500' })
      return response.write('{"accepted":', () => response.destroy())
    case 'open':
      return response.writeHead(200, { 'content-type': typeOf(url) }).write(step.body)
    case 'wait':
      return undefined
  }
}

const typeOf = (url) => (/\.md(\?|$)/.test(url) ? 'text/markdown' : 'application/json')
