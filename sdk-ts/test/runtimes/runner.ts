// What stands for `node:test` in other runtimes: tests one after the other, and what became of each.

const tests: { readonly name: string; readonly body: () => unknown }[] = []

export function test(name: string, body: () => unknown): void {
  tests.push({ name, body })
}

export interface Result {
  readonly name: string
  readonly error?: string
}

export async function run(): Promise<readonly Result[]> {
  const results: Result[] = []
  for (const { name, body } of tests) {
    try {
      await body()
      results.push({ name })
    } catch (error) {
      results.push({ name, error: error instanceof Error ? `${error.stack ?? error.message}` : String(error) })
    }
  }
  return results
}
