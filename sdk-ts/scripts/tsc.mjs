// Runs the TypeScript compiler of this package's dependencies, wherever the workspace has put it.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..')
const manifestPath = createRequire(import.meta.url).resolve('typescript/package.json')
const { bin } = JSON.parse(readFileSync(manifestPath, 'utf8'))
const compiler = join(dirname(manifestPath), bin.tsc)

const { status, error } = spawnSync(process.execPath, [compiler, ...process.argv.slice(2)], {
  cwd: packageRoot,
  stdio: 'inherit',
})
if (error) throw error
process.exit(status ?? 1)
