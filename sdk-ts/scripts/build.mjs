// Builds dist/: one ES module, one CommonJS module, and declarations of its own kind beside each.
//
//   dist/esm/index.js   dist/esm/*.d.ts
//   dist/cjs/index.js   dist/cjs/*.d.ts   dist/cjs/package.json ("type": "commonjs")

import { execFileSync } from 'node:child_process'
import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { build } from 'esbuild'

const scripts = dirname(fileURLToPath(import.meta.url))
const root = join(scripts, '..')
const dist = join(root, 'dist')

rmSync(dist, { recursive: true, force: true })

const common = {
  absWorkingDir: root,
  entryPoints: ['src/index.ts'],
  bundle: true,
  platform: 'neutral',
  target: 'es2022',
  logLevel: 'warning',
}
await Promise.all([
  build({ ...common, format: 'esm', outfile: 'dist/esm/index.js' }),
  build({ ...common, format: 'cjs', outfile: 'dist/cjs/index.js' }),
])

const declarations = ['-p', 'tsconfig.json', '--emitDeclarationOnly', '--outDir', 'dist/esm']
execFileSync(process.execPath, [join(scripts, 'tsc.mjs'), ...declarations], { stdio: 'inherit' })
cpSync(join(dist, 'esm'), join(dist, 'cjs'), { recursive: true, filter: (path) => !path.endsWith('.js') })
writeFileSync(join(dist, 'cjs', 'package.json'), '{ "type": "commonjs" }\n')
