// Builds dist/: one ES module, one CommonJS module, and declarations of its own kind beside each.
//
//   dist/esm/index.js   dist/esm/*.d.ts
//   dist/cjs/index.js   dist/cjs/*.d.ts   dist/cjs/package.json ("type": "commonjs")
//   dist/cli/firn.cjs   the command line with all that it needs, and dist/cli/LICENSES.txt of that

import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const [{ metafile }] = await Promise.all([
  build({
    ...common,
    entryPoints: ['cli/firn.ts'],
    platform: 'node',
    target: 'node20',
    // Some of what is bundled is CommonJS and asks for Node's modules as such.
    format: 'cjs',
    banner: { js: '#!/usr/bin/env node' },
    define: { FIRN_VERSION: JSON.stringify(version) },
    minifySyntax: true,
    metafile: true,
    outfile: 'dist/cli/firn.cjs',
  }),
  build({ ...common, format: 'esm', outfile: 'dist/esm/index.js' }),
  build({ ...common, format: 'cjs', outfile: 'dist/cjs/index.js' }),
])
chmodSync(join(dist, 'cli/firn.cjs'), 0o755)
writeFileSync(join(dist, 'cli/LICENSES.txt'), licenses(Object.keys(metafile.inputs)))

const declarations = ['-p', 'tsconfig.json', '--emitDeclarationOnly', '--outDir', 'dist/esm']
execFileSync(process.execPath, [join(scripts, 'tsc.mjs'), ...declarations], { stdio: 'inherit' })
cpSync(join(dist, 'esm'), join(dist, 'cjs'), { recursive: true, filter: (path) => !path.endsWith('.js') })
writeFileSync(join(dist, 'cjs', 'package.json'), '{ "type": "commonjs" }\n')

/** The licences of what is bundled, as they ask for. */
function licenses(inputs) {
  const folders = inputs.flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? [])
  return [...new Set(folders)].sort().map((folder) => {
    const manifest = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
    const file = ['LICENSE', 'license', 'LICENSE.md', 'LICENSE-MIT', 'LICENCE'].map((name) => join(root, folder, name)).find(existsSync)
    const text = file === undefined ? `${manifest.license}` : readFileSync(file, 'utf8').trim()
    return `${manifest.name} ${manifest.version}\n\n${text}\n`
  }).join('\n----\n\n')
}
