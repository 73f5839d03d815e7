// The command line: commands, their options and their help.

import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'

import { EXTENSIONS, type ArtifactKey } from '../src/url.js'
import { Context, parseAddress, parseCount, parseKey, parseType } from './context.js'
import { doctor } from './doctor.js'
import { EXIT, EXIT_HELP, Exit, exitStatus } from './exit.js'
import { importFile, type ImportFlags } from './import.js'
import { publish, type PublishOptions } from './publish.js'
import { pull, type PullFlags } from './pull.js'
import { get, head, list, versions, type ListFlags, type ReadFlags } from './reads.js'
import { parseDuration, printClaims, printMinted, type MintOptions } from './token.js'
import { put, remove, type PutFlags } from './writes.js'

const controller = new AbortController()

/** Runs a command's action with its context; errors are told once, here. */
function action<A extends readonly unknown[]>(run: (context: Context, ...args: A) => Promise<void> | void): (...all: unknown[]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1)
    if (!(command instanceof Command)) throw new Error('commander gives the command last')
    const context = new Context(command, controller.signal)
    try {
      // Commander's arguments have the types that their parsers give.
      await run(context, ...(all.slice(0, -1) as unknown as A))
    } catch (error) {
      process.exitCode = controller.signal.aborted ? EXIT.interrupted : exitStatus(error)
      if (!(error instanceof Exit) && !controller.signal.aborted) context.fail(error)
    }
  }
}

const modes = (): Option => new Option('--mode <mode>', 'how the records are written').choices(['preview', 'build', 'bulk'])
const visibilities = (): Option => new Option('--visibility <who>', 'who may read').choices(['public', 'unlisted', 'org', 'user'])
const examples = (text: string): string => `\nExamples:\n${text.trim().split('\n').map((line) => `  ${line.trim()}`).join('\n')}`
const words = (text: string, held: readonly string[] = []): readonly string[] => [...held, ...text.split(/[,\s]+/).filter(Boolean)]
const keys = (text: string, held: readonly ArtifactKey[] = []): readonly ArtifactKey[] => [...held, parseKey(text)]

function positive(text: string): number {
  const value = parseCount(text)
  if (value < 1) throw new InvalidArgumentError('It must be at least 1.')
  return value
}

function duration(text: string): number {
  const seconds = parseDuration(text)
  if (seconds === undefined) throw new InvalidArgumentError('It must be seconds, or a number with s, m, h or d.')
  return seconds
}

function program(version: string): Command {
  const firn = new Command('firn')
    .description('Publish build artifacts to Firn, and read them back.')
    .version(version)
    .option('--url <url>', 'where the server is (or FIRN_URL)')
    .option('--token-file <file>', 'a file with the token, - for stdin (or the token itself in FIRN_TOKEN)')
    .option('--timeout <seconds>', 'for each attempt of a request', positive)
    .option('--retries <count>', 'of a request that failed for a reason that may pass', parseCount)
    .option('--json', 'write JSON, also to a terminal')
    .option('--no-json', 'write for people, also into a pipe')
    .addHelpText('after', EXIT_HELP)
    .showHelpAfterError('(firn --help shows what there is)')
    .exitOverride()
  for (const add of [addPublish, addPut, addReads, addListings, addDelete, addPull, addImport, addToken, addDoctor]) add(firn)
  return firn
}

function addPublish(firn: Command): void {
  firn
    .command('publish <dir>')
    .description('publish a folder: files that differ in nothing but their extension become one artifact')
    .option('--ns <ns>', "the namespace (default: the token's, if it names one)")
    .requiredOption('--type <type>', 'the type of the artifacts')
    .option('--prefix <prefix>', 'what every id begins with, before the path', '')
    .addOption(modes())
    .addOption(visibilities())
    .option('--expires-at <time>', 'RFC 3339: never served after it')
    .option('--atomic', 'all in one request, or nothing; refused where that is too much for one')
    .option('--lenient', 'go on without files that cannot be stored')
    .option('--dry-run', 'say what would be published')
    .option('--watch', 'publish again what changes, in preview mode')
    .addHelpText('after', `
Extensions: ${EXTENSIONS.filter((ext) => ext !== 'artifact.json').join(' ')}
Front matter of .md and .mdx is also stored as the artifact's frontmatter, unless a .json of the same name is that.
Skipped: hidden files, node_modules, links, and what a .gitignore or .firnignore in the folder says.
${examples(`
firn publish dist --ns app.do --type page
firn publish node_modules/highlight.js --ns npm.example --type package --prefix highlight.js/ --dry-run
firn publish docs --type page --watch`)}`)
    .action(action<[string, PublishOptions]>(publish))
}

function addPut(firn: Command): void {
  firn
    .command('put')
    .description('write one artifact')
    .argument('<ns/type/id>', 'which one', parseKey)
    .argument('[files...]', 'its representations, by their extensions')
    .addOption(new Option('--stdin <ext>', 'a representation from stdin').choices(EXTENSIONS.filter((ext) => ext !== 'artifact.json')))
    .addOption(modes())
    .addOption(visibilities())
    .option('--expires-at <time>', 'RFC 3339: never served after it')
    .option('--if-version <version>', 'only if this is the current version; 0: only if there is none')
    .option('--idempotency-key <key>', 'the same request with the same key has its effect once')
    .addHelpText('after', examples(`
firn put app.do/page/home home.md home.html
echo '# Hello' | firn put app.do/page/home --stdin md --visibility unlisted`))
    .action(action<[ArtifactKey, readonly string[], PutFlags]>(put))
}

function addReads(firn: Command): void {
  firn
    .command('get')
    .description('print a representation as it is')
    .argument('<ns/type/id.ext>', 'which one', parseAddress)
    .option('-o, --output <file>', 'where to')
    .option('--fresh', 'past all caches')
    .option('--max-age <seconds>', 'at most so old', parseCount)
    .addHelpText('after', examples(`
firn get app.do/page/home.md
firn get app.do/page/home.artifact.json | jq .visibility
firn get npm.example/package/highlight.js/styles/github.css -o github.css`))
    .action(action<[Parameters<typeof get>[1], ReadFlags]>(get))
  firn
    .command('head')
    .description('say what a representation is, without reading it')
    .argument('<ns/type/id.ext>', 'which one', parseAddress)
    .option('--fresh', 'past all caches')
    .option('--max-age <seconds>', 'at most so old', parseCount)
    .addHelpText('after', examples('firn head app.do/page/home.md'))
    .action(action<[Parameters<typeof head>[1], ReadFlags]>(head))
}

function addListings(firn: Command): void {
  firn
    .command('list')
    .description('list the artifacts of a type')
    .argument('<ns/type>', 'which type', parseType)
    .option('--prefix <prefix>', 'only ids that begin so')
    .option('--limit <count>', 'of one page', positive)
    .option('--max <count>', 'at most so many in all', parseCount)
    .addHelpText('after', examples(`
firn list app.do/page --prefix docs/
firn list app.do/page --json | jq -r .id`))
    .action(action<[Parameters<typeof list>[1], ListFlags]>(list))
  firn
    .command('versions')
    .description('list the versions of an artifact, newest first')
    .argument('<ns/type/id>', 'which one', parseKey)
    .option('--limit <count>', 'of one page', positive)
    .option('--max <count>', 'at most so many in all', parseCount)
    .addHelpText('after', examples('firn versions app.do/page/home --max 5'))
    .action(action<[ArtifactKey, ListFlags]>(versions))
}

function addDelete(firn: Command): void {
  firn
    .command('delete')
    .description('delete artifacts; they are gone from the next read on')
    .argument('<ns/type/id...>', 'which ones', keys)
    .option('--if-match <version>', 'only if this is the current version')
    .addHelpText('after', examples(`
firn delete app.do/page/home
firn delete app.do/page/home --if-match 1795183815141193`))
    .action(action<[readonly ArtifactKey[], { readonly ifMatch?: string }]>(remove))
}

function addPull(firn: Command): void {
  firn
    .command('pull')
    .description('write artifacts to a folder, as the files that they were published from')
    .argument('<ns/type>', 'which type', parseType)
    .option('--ids <ids>', 'which artifacts, separated by commas (default: all that a listing has)', words)
    .option('--ids-file <file>', 'a file with one id a line, - for stdin')
    .option('--prefix <prefix>', 'of a listing: only ids that begin so')
    .option('--strip <prefix>', 'what to leave out at the beginning of every path')
    .option('-o, --output <dir>', 'where to', '.')
    .option('--concurrency <count>', 'requests at once', positive, 4)
    .addHelpText('after', examples(`
firn pull app.do/page --ids home,about -o pages
firn publish dist --type page --dry-run --json | jq -r '.artifacts[].id' | firn pull app.do/page --ids-file - -o copy`))
    .action(action<[Parameters<typeof pull>[1], PullFlags]>(pull))
}

function addImport(firn: Command): void {
  firn
    .command('import <file>')
    .description('write a file of records, one JSON object a line, .gz or not; started again it goes on where it was')
    .addOption(modes().default('bulk'))
    .option('--restart', 'begin anew')
    .option('--rejected <file>', 'where rejected lines go, with the reason')
    .option('--records-per-request <count>', 'at most; a smaller limit of the namespace is learnt', positive)
    .option('--request-len-bytes <bytes>', 'at most', positive)
    .addHelpText('after', `
How far it came stands in FILE.firn-import.json until it is done.
${examples(`
firn import pages.ndjson.gz --rejected bad.ndjson`)}`)
    .action(action<[string, ImportFlags]>(importFile))
}

function addToken(firn: Command): void {
  const token = firn
    .command('token')
    .description('say what the current token claims, or make one for development')
    .addHelpText('after', examples(`
firn token show
export FIRN_TOKEN=$(firn token mint --ns app.do --sub u1 --secret-file .firn/development.key)`))
  token.command('show').description('say what the current token claims').action(action(printClaims))
  token
    .command('mint')
    .description('print a token signed with HS256, for a server that has the same secret')
    .requiredOption('--ns <ns>', 'namespaces that it may write, separated by commas', words)
    .option('--sub <user>', 'the user')
    .option('--org <org>', 'the organisation')
    .option('--scope <scopes>', 'artifacts:read, artifacts:write, artifacts:admin', words)
    .option('--role <roles>', 'roles, separated by commas', words)
    .option('--ttl <duration>', 'how long it is valid: seconds, or a number with s, m, h or d', duration, 3_600)
    .option('--issuer <iss>', 'the issuer', 'https://firn.localhost')
    .option('--audience <aud>', 'the audience', 'firn')
    .option('--kid <kid>', "the key's id")
    .option('--secret-file <file>', 'a file with the secret (or FIRN_HS256_SECRET)')
    .addHelpText('after', examples("firn token mint --ns app.do --sub u1 --org o1 --scope artifacts:read --ttl 8h"))
    .action(action<[MintOptions]>((context, { scope = ['artifacts:read', 'artifacts:write'], ...options }) => printMinted(context, { ...options, scope })))
}

function addDoctor(firn: Command): void {
  firn
    .command('doctor')
    .description('check that the server is there, the clocks agree, what the token may, and the limits')
    .addHelpText('after', `
Nothing is written. It counts as three writes against the limit of requests a minute.
${examples('firn doctor --url https://firn.example')}`)
    .action(action(doctor))
}

/** Runs the command line. */
export async function main(argv: readonly string[], version: string): Promise<void> {
  process.once('SIGINT', () => controller.abort())
  process.once('SIGTERM', () => controller.abort())
  // A reader that has enough, as `head`, is no fault.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? EXIT.done : EXIT.unexpected))
  try {
    await program(version).parseAsync(argv)
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage
  }
}
