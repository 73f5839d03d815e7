// A bar with bytes, rate and time left, on stderr where that is a terminal.

import { SingleBar } from 'cli-progress'

import { plural, size, type Context } from './context.js'

/** Shows how far something has come. */
export interface Progress {
  update(bytes: number, records: number): void
  stop(): void
}

/** A bar over `totalBytes`, or nothing where nobody watches. */
export function startProgress(context: Context, totalBytes: number): Progress {
  if (context.isJson || process.stderr.isTTY !== true || totalBytes === 0) return { update: () => undefined, stop: () => undefined }
  const started = performance.now()
  const bar = new SingleBar({
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    format: (_, { progress, value, total }, { records }: { records: number }) => {
      const cells = Math.round(Math.min(progress, 1) * 24)
      const seconds = (performance.now() - started) / 1000
      const rate = value / Math.max(seconds, 0.001)
      const left = value === 0 ? '' : ` · ${duration((total - value) / rate)} left`
      const done = `${size(value)} of ${size(total)} · ${size(rate)}/s${left} · ${plural(records, 'record')}`
      return `${'█'.repeat(cells)}${'░'.repeat(24 - cells)} ${done}`
    },
  })
  bar.start(totalBytes, 0, { records: 0 })
  return {
    update: (bytes, records) => bar.update(Math.min(bytes, totalBytes), { records }),
    stop: () => bar.stop(),
  }
}

function duration(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds))
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`
}
