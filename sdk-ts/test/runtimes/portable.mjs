// The tests that need nothing but `fetch`, as one module for a runtime that is not Node. `node:test` and, where the runtime
// has none, `node:assert` become small ones of our own; the test files stay as they are.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))

/** The test files that read no file of this machine. */
const PORTABLE = ['batch', 'cache', 'client', 'errors', 'many', 'pages', 'problem', 'url']

/** Their code. `entry` is what runs them: it may import `run` of runner.ts. `hasAssert`: the runtime brings `node:assert`. */
export async function bundlePortable({ entry, origin, hasAssert }) {
  const runner = join(here, 'runner.ts')
  const { outputFiles } = await build({
    stdin: { contents: [...PORTABLE.map((name) => `import '../${name}.test.ts'`), entry].join('\n'), resolveDir: here, loader: 'ts' },
    bundle: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    // The package says that it has no side effects; its tests have.
    ignoreAnnotations: true,
    logLevel: 'warning',
    define: { FIRN_SCRIPTED: JSON.stringify(origin) },
    alias: { 'node:test': runner, ...(hasAssert ? {} : { 'node:assert/strict': join(here, 'assert.ts') }) },
    external: hasAssert ? ['node:assert/strict'] : [],
  })
  return outputFiles[0].text
}

/** Reports what a runtime said of each test, as subtests. */
export async function report(test, results) {
  for (const { name, error } of results) {
    await test.test(name, () => {
      if (error !== undefined) throw new Error(error)
    })
  }
}
