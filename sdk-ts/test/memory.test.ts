import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { Firn } from '../src/client.js'
import type { ArtifactRecord } from '../src/record.js'
import { ingestAnswer } from './scripted.js'

const RECORDS = 100_000
const HEAP_BYTES_GROWTH_MAX = 3_000_000

test('the memory of putMany does not grow with the records', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  async function* records(): AsyncGenerator<ArtifactRecord> {
    for (let idx = 0; idx < RECORDS; idx += 1) yield { ns: 'app.do', type: 'page', id: `p/${idx}`, markdown: `# ${idx}`.padEnd(200, '.') }
  }
  const answering: typeof fetch = () => Promise.resolve(new Response(ingestAnswer(1_000), { headers: { 'content-type': 'application/json' } }))
  const firn = new Firn({ baseUrl: 'https://a.example', fetch: answering })
  const heaps: number[] = []
  const { accepted } = await firn.putMany(records(), {
    onProgress: ({ requests }) => {
      if (requests % 10 !== 0) return
      collect()
      heaps.push(process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers)
    },
  })
  assert.equal(accepted, RECORDS)
  const [, warm = assert.fail(), ...later] = heaps
  assert.ok(Math.max(...later) - warm < HEAP_BYTES_GROWTH_MAX, heaps.join(' '))
})
