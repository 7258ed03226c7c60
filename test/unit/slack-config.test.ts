/** `thread`, `update` and `mentions`, as a configuration may say them. */
import { describe, expect, it } from 'vitest'
import { ConfigError } from '../../src/config/issues.ts'
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts'
import { standIn, type StandIn } from '../../src/config/stand-ins.ts'
import { createPreviews } from '../../src/sinks/preview.ts'
import { leasedDelivery } from '../fixtures/deliveries.ts'
import { secret } from '../setup/sender.ts'

/** @param sink what the sink `ops` says, beside its channel @param target what the rule `alerts` says about it */
function load(sink: string, target = '', more: { standIn?: StandIn } = {}): LoadedConfig {
  const yaml = `
sources: { gemini: { path: /hook, static: { secrets: [${secret}] } } }
sinks: { ops: { type: slack, token: t, channel: C0123456789, ${sink} } }
rules: [{ name: alerts, to: [{ sink: ops, ${target} }] }, { name: other, to: [{ sink: ops, text: other }] }]
`
  return loadConfig({ file: 'relay.yaml', env: {}, readFile: () => yaml, ...more })
}

function issuesOf(sink: string, target = ''): string[] {
  try {
    load(sink, target)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.issues.map(({ path, message }) => `${path}: ${message}`)
    throw error
  }
}

function orderOf(sink: string, target = ''): unknown {
  const { ops } = load(sink, target).config.sinks
  return ops?.type === 'slack' ? ops.order : 'no slack sink'
}

describe('thread and update', () => {
  it.each([
    ['thread: subject', ''],
    ['update: subject', 'update: none'],
    ['update: none', 'thread: subject'],
    ['', 'update: subject'],
    ['thread: subject', 'thread: none, update: subject'],
  ])('make the sink keep the order of its jobs: %s; rule: %s', (sink, target) => {
    expect(issuesOf(sink, target)).toEqual([])
    expect(orderOf(sink, target)).toBe('subject')
  })

  it.each([
    ['', ''],
    ['thread: none, update: none', ''],
    ['thread: none', 'thread: none'],
  ])('leave the order alone where nobody uses them: %s; rule: %s', (sink, target) => {
    expect(orderOf(sink, target)).toBeUndefined()
  })

  const both = /one or the other/
  it.each([
    ['thread: subject, update: subject', '', [/^sinks\.ops\.update: `thread` and `update`/]],
    ['thread: subject, update: subject', 'thread: subject', [both]],
    ['', 'thread: subject, update: subject', [/^rules\[0\]\.to\[0\]\.update: .*one or the other/]],
    ['update: subject', 'thread: subject', [/^rules\[0\]\.to\[0\]\.thread: .*add `update: none` here/]],
    ['thread: subject', 'update: subject', [/^rules\[0\]\.to\[0\]\.update: .*add `thread: none` here/]],
    ['thread: subjct', '', [/thread: `thread`: expected subject or none; did you mean `subject`/]],
  ])('are one or the other: %s; rule: %s', (sink, target, expected) => {
    expect(issuesOf(sink, target)).toEqual(expected.map((pattern) => expect.stringMatching(pattern)))
  })
})

describe('mentions', () => {
  it.each(['U0123456789', 'W0123456789', 'S0123456789', 'USLACKBOT', 'here', 'channel', 'everyone'])('may be %s', (mention) => {
    expect(issuesOf(`mentions: [${mention}]`)).toEqual([])
  })

  it.each(['"@ada"', 'ada', 'SUPPORT', 'C0123456789', 'u0123456789', '"<!here>"', 'Here', '"U0123456789 "', '""'])(
    'may not be %s',
    (mention) => {
      expect(issuesOf(`mentions: [here, ${mention}]`)).toEqual([
        expect.stringMatching(/^sinks\.ops\.mentions\[1\]: `mentions\[1\]`/),
      ])
    },
  )

  it('have the shape of a user where a variable is not set and nothing is sent', () => {
    expect(load('mentions: ["${ADA}"]', '', { standIn }).config.sinks['ops']).toMatchObject({ mentions: ['UADA00000'] })
  })

  const blocks = (count: number) => `blocks: [${Array.from({ length: count }, () => '{ type: divider }').join()}]`
  it.each([
    [`mentions: [here], ${blocks(50)}`, '', /^sinks\.ops\.blocks: .*49 others/],
    [blocks(50), 'mentions: [here]', /^rules\[0\]\.to\[0\]\.mentions: .*49 others/],
    ['mentions: [here]', blocks(50), /^rules\[0\]\.to\[0\]\.blocks: .*49 others/],
  ])('need a place among the 50 blocks of a message', (sink, target, expected) => {
    expect(issuesOf(sink, target)).toEqual([expect.stringMatching(expected)])
  })

  it.each([
    [`mentions: [here], ${blocks(49)}`, ''],
    [blocks(50), ''],
    ['mentions: [here]', `mentions: [], ${blocks(50)}`],
    [blocks(50), 'mentions: [here], text: no blocks'],
  ])('and have one: %#', (sink, target) => {
    expect(issuesOf(sink, target)).toEqual([])
  })
})

describe('a preview', () => {
  function previewOf(sink: string, target = ''): unknown {
    return createPreviews(load(sink, target).config).of(leasedDelivery({ rule: 'alerts', sink: 'ops' }))
  }
  const text = 'batch.failed batches/b1'

  it('shows which job the message belongs to, and who is mentioned', () => {
    expect(previewOf('thread: subject')).toEqual({ sends: { channel: 'C0123456789', thread: 'batches/b1', text } })
    expect(previewOf('', 'update: subject, mentions: [here]')).toEqual({
      sends: { channel: 'C0123456789', update: 'batches/b1', text: `<!here> ${text}` },
    })
    expect(previewOf('thread: subject', 'thread: none')).toEqual({ sends: { channel: 'C0123456789', text } })
  })
})
