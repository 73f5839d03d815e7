// The API reference: the doc comments of the public surface, as one page.

const SECTIONS = [
  ['The client', ({ name }) => name === 'Firn'],
  ['Functions', ({ kind }) => kind === 'Function'],
  ['Errors', ({ kind, name }) => kind === 'Class' && name !== 'Firn'],
  ['Types', ({ kind }) => kind === 'Interface' || kind === 'TypeAlias'],
  ['Constants', ({ kind }) => kind === 'Variable'],
]

/** Of an API Extractor model. */
export function renderReference(model) {
  const items = model.members[0].members
  const parts = ['# API of @firn/sdk', '', '<!-- made of the doc comments by: node scripts/api.mjs -->']
  for (const [title, belongs] of SECTIONS) {
    const those = items.filter(belongs)
    parts.push('', `## ${title}`)
    for (const item of those) parts.push('', ...renderItem(item, those))
  }
  return `${parts.join('\n')}\n`
}

function renderItem(item, all) {
  const first = all.find(({ name }) => name === item.name)
  const heading = item === first ? [`### ${item.name}`, ''] : []
  const { text, tags } = docOf(item)
  return [...heading, ...paragraphs(text), ...code(signature(item)), ...tags, ...renderMembers(item)]
}

function renderMembers({ kind, members = [] }) {
  if (kind === 'Interface') return table(members)
  if (kind !== 'Class') return []
  const methods = members.filter((member) => member.kind === 'Method' || member.kind === 'Constructor')
  const properties = members.filter((member) => member.kind === 'Property' && member.name !== 'name' && !member.name.startsWith('['))
  return [...table(properties), ...methods.flatMap(renderMethod)]
}

function renderMethod(member) {
  const isNew = member.kind === 'Constructor'
  const { text: given, tags } = docOf(member)
  const text = given.startsWith('Constructs a new instance') ? '' : given
  if (isNew && text === '' && tags.length === 0) return []
  const heading = isNew ? 'constructor' : member.name
  const title = member.overloadIndex > 1 ? [] : [`#### ${heading}`, '']
  return ['', ...title, ...paragraphs(text), ...code(signature(member)), ...tags]
}

function table(members) {
  if (members.length === 0) return []
  const rows = members.map((member) => `| ${cell(`\`${signature(member)}\``)} | ${cell(docOf(member).text)} |`)
  return ['', '| | |', '|---|---|', ...rows]
}

const cell = (text) => text.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ')
const code = (text) => ['```ts', text, '```']
const paragraphs = (text) => (text === '' ? [] : [text, ''])

function signature({ excerptTokens }) {
  const text = excerptTokens.map((token) => token.text).join('').trim()
  return text.replace(/^export (declare )?/, '').replace(/^readonly /, '').replace(/;$/, '')
}

/** A comment's text, and its block tags as a list. */
function docOf({ docComment = '' }) {
  const text = docComment.replace(/^\/\*\*/, '').replace(/\*\/\s*$/, '').replaceAll(/^\s*\* ?/gm, '').trim()
  const [body, ...blocks] = text.split(/^@(?=\w)/m)
  const tags = blocks.filter((block) => !/^(internal|public|remarks)/.test(block)).map((block) => `- ${tagText(block.replaceAll(/\s+/g, ' ').trim())}`)
  return { text: body.trim().replaceAll(/\n(?!\n)(?=\S)/g, '\n'), tags: tags.length === 0 ? [] : ['', ...tags] }
}

function tagText(block) {
  const [, tag, rest] = /^(\w+) (.*)$/.exec(block) ?? [undefined, block, '']
  if (tag === 'throws') return `throws ${rest}`
  const [, name, what] = /^(\w+)(?: -)? (.*)$/.exec(rest) ?? [undefined, rest, '']
  return tag === 'param' ? `\`${name}\`: ${what}` : `${tag} ${rest}`
}
