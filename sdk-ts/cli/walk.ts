// Which files of a folder are published: none that is hidden, in `node_modules`, ignored by a `.gitignore` or
// `.firnignore` of the folder or below, or a link.

import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

import ignore, { type Ignore } from 'ignore'

import type { SkippedFile, SourceFile } from './files.js'

const IGNORE_FILES = ['.gitignore', '.firnignore']

/** The rules of one folder, for paths below it. */
interface Rules {
  readonly base: string
  readonly rules: Ignore
}

/** What a folder holds. */
export interface Found {
  readonly files: readonly Omit<SourceFile, 'ext'>[]
  readonly skipped: readonly SkippedFile[]
}

/** Every file to be published, by path. */
export function walk(root: string): Found {
  const files: Omit<SourceFile, 'ext'>[] = []
  const skipped: SkippedFile[] = []
  const visit = (folder: string, inherited: readonly Rules[]): void => {
    const rules = [...inherited, ...rulesOf(root, folder)]
    const entries = readdirSync(join(root, folder), { withFileTypes: true })
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      const reason = skipReason(path, entry, rules)
      if (reason !== undefined) skipped.push({ path, reason })
      else if (entry.isDirectory()) visit(path, rules)
      else {
        const { size, mtimeMs } = statSync(join(root, path))
        files.push({ path, lenBytes: size, modifiedMs: mtimeMs })
      }
    }
  }
  visit('', [])
  return { files, skipped }
}

interface Entry {
  readonly name: string
  isDirectory(): boolean
  isFile(): boolean
}

function skipReason(path: string, entry: Entry, rules: readonly Rules[]): string | undefined {
  if (entry.name.startsWith('.')) return 'hidden'
  if (entry.name === 'node_modules') return 'node_modules'
  if (!entry.isDirectory() && !entry.isFile()) return 'a link or no file'
  return isIgnored(path, entry.isDirectory(), rules) ? 'ignored' : undefined
}

function rulesOf(root: string, folder: string): readonly Rules[] {
  const present = IGNORE_FILES.map((name) => join(root, folder, name)).filter((file) => existsSync(file))
  if (present.length === 0) return []
  const rules = ignore()
  for (const file of present) rules.add(readFileSync(file, 'utf8'))
  return [{ base: folder === '' ? '' : `${folder}/`, rules }]
}

/** The innermost file that says anything of the path decides, as with git. */
function isIgnored(path: string, isDirectory: boolean, rules: readonly Rules[]): boolean {
  let isIgnored = false
  for (const { base, rules: those } of rules) {
    const below = path.slice(base.length) + (isDirectory ? '/' : '')
    const { ignored, unignored } = those.test(below)
    if (ignored) isIgnored = true
    if (unignored) isIgnored = false
  }
  return isIgnored
}
