// The package's public surface, of its declarations (after a build): API.md, the reference made of the doc comments, and
// test/api.snapshot.md, every signature. `node scripts/api.mjs` writes both; a test compares them.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor'

import { renderReference } from './reference.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** Where each text lies. */
export const FILES = { reference: join(root, 'API.md'), snapshot: join(root, 'test/api.snapshot.md') }

/** Both texts, as they must be. */
export function extractApi() {
  const folder = mkdtempSync(join(tmpdir(), 'firn-api-'))
  try {
    const config = ExtractorConfig.prepare({
      configObject: {
        projectFolder: root,
        mainEntryPointFilePath: join(root, 'dist/esm/index.d.ts'),
        newlineKind: 'lf',
        compiler: { overrideTsconfig: { compilerOptions: { target: 'es2022', lib: ['es2022', 'dom'], module: 'nodenext', moduleResolution: 'nodenext', strict: true, types: [] }, include: ['dist/esm'] } },
        apiReport: { enabled: true, reportFileName: 'sdk.api.md', reportFolder: folder, reportTempFolder: join(folder, 'temp') },
        docModel: { enabled: true, apiJsonFilePath: join(folder, 'sdk.api.json') },
        dtsRollup: { enabled: false },
        tsdocMetadata: { enabled: false },
        messages: {
          extractorMessageReporting: {
            default: { logLevel: ExtractorLogLevel.Error },
            // No release has stages yet, and what an index does not export is no part of the surface.
            'ae-missing-release-tag': { logLevel: ExtractorLogLevel.None },
            // `etag` says what it is.
            'ae-undocumented': { logLevel: ExtractorLogLevel.None },
          },
          tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
        },
      },
      configObjectFullPath: undefined,
      packageJsonFullPath: join(root, 'package.json'),
    })
    const problems = []
    Extractor.invoke(config, {
      localBuild: true,
      messageCallback: (message) => {
        if (message.logLevel === ExtractorLogLevel.Error) problems.push(message.formatMessageWithLocation(root))
        message.handled = true
      },
    })
    if (problems.length > 0) throw new Error(problems.join('\n'))
    const snapshot = readFileSync(join(folder, 'sdk.api.md'), 'utf8')
    const model = JSON.parse(readFileSync(join(folder, 'sdk.api.json'), 'utf8'))
    return { snapshot, reference: renderReference(model) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { snapshot, reference } = extractApi()
  writeFileSync(FILES.snapshot, snapshot)
  writeFileSync(FILES.reference, reference)
}
