import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { eventTypes, exampleEvent } from '../../src/emulator/catalog.ts'
import { catalogTypes, dataFieldsOf } from '../../src/gemini/catalog.ts'
import { secret } from '../setup/sender.ts'

/** What is said of a rule, at two sources and two sinks that another rule feeds. */
function doubtsOf(rules: string, more = ''): string[] {
  const yaml = `
sources:
  gemini: { path: /a, static: { secrets: ['${secret}'], managed: true } }
  jobs: { path: /b, dynamic: { audience: any } }
sinks:
  ops: { type: slack, token: xoxb-1, channel: C0123456789 }
  stream: { type: kafka, brokers: ['kafka:9092'], topic: events }
${more}
rules:
  - { name: usual, to: [ops, stream] }
  - ${rules}
`
  const readFile = () => yaml
  return loadConfig({ file: 'relay.yaml', env: {}, readFile }).warnings.map(({ message }) => message)
}

const ops = (text: string) => `to: [{ sink: ops, text: ${JSON.stringify(text)} }]`

describe('nothing is said of', () => {
  it.each([
    ['a ping', 'when: { type: webhook.ping }, to: [stream]'],
    ['what is no envelope', 'when: { type: relay.unrecognized }, to: [stream]'],
    ['a glob over several families', "when: { type: '*.failed' }, to: [stream]"],
    ['the older name of a type', 'when: { type: batch.completed }, if: event.data.error_count > 10, to: [stream]'],
    ['types in any case', 'when: { type: [{ equals-ignore-case: Batch.Failed }] }, to: [stream]'],
    ['all but a type that nobody sends', 'when: { type: [{ anything-but: batch.faild }] }, to: [stream]'],
    ['events that were made up for', 'when: { scheme: reconciled }, to: [stream]'],
    ['a scheme that the source takes', 'when: { source: jobs, scheme: [jwt, ed25519] }, to: [stream]'],
    ['any field of user_metadata', 'when: { type: batch.failed, user_metadata: { eror_code: [x] } }, to: [stream]'],
    ['user_metadata where it may stand in data', `when: { type: batch.failed }, ${ops('{{ event.data.user_metadata.x }}')}`],
    ['a field that has to be absent', 'when: { type: batch.failed, data: { eror_code: [{ exists: false }] } }, to: [stream]'],
    ['a field that no type has where any may come', "if: event.data.priority == 'high', to: [stream]"],
    ['a field of videos by either of its names', `when: { type: video.generated }, ${ops('{{ event.data.video_uri }}')}`],
    [
      'a field with a default',
      `when: { type: [batch.failed, batch.expired] }, ${ops('{{ event.data.error_message | default: event.data.error_code }}')}`,
    ],
    [
      'a field that is asked for first',
      `when: { type: 'batch.*' }, ${ops('{% if event.data.error_message %}{{ event.data.error_message }}{% endif %}')}`,
    ],
    [
      'a field that the condition asks for',
      `when: { type: 'batch.*' }, if: has(event.data.error_message), ${ops('{{ event.data.error_message }}')}`,
    ],
    [
      'a field that the pattern asks for',
      `when: { type: 'batch.*', data: { error_message: [{ exists: true }] } }, ${ops('{{ event.data.error_message }}')}`,
    ],
    [
      'a key that has a way out',
      "to: [{ sink: stream, key: 'has(event.data.error_code) ? event.data.error_code : event.type' }]",
    ],
    ['a key of user_metadata', 'to: [{ sink: stream, key: event.user_metadata.job }]'],
    ['a condition on a ping', "when: { type: [webhook.ping, batch.failed] }, if: event.type == 'webhook.ping', to: [stream]"],
    ['a condition on a type of nobody knows whom', "if: event.type == 'tuning.finished', to: [stream]"],
    [
      'a key that user_metadata may lack, beside a field that has a way out',
      `to: [{ sink: stream, key: 'event.data.?error_code.orValue("") + event.user_metadata.job' }]`,
    ],
    ['another text to the same sink', `when: { type: batch.failed }, ${ops('it failed')}`],
    ['the same events to another topic', 'to: [{ sink: stream, topic: others }]'],
  ])('%s', (_, rule) => {
    expect(doubtsOf(`{ name: odd, ${rule} }`)).toEqual([])
  })

  it('types that a declared webhook subscribes to, and what they hold', () => {
    const rule = '{ name: odd, when: { type: tuning.finished, data: { error_cod: [x] } }, to: [stream] }'
    const webhook = (type: string) => `{ uri: 'https://relay.example.com/a', source: gemini, events: [${type}] }`
    const declared = (type: string) => doubtsOf(rule, `gemini: { webhooks: { w: ${webhook(type)} } }`)
    expect(declared('tuning.finished')).toEqual([])
    const both = rule.replace('tuning.finished', '[tuning.finished, batch.failed]')
    expect(doubtsOf(both, `gemini: { webhooks: { w: ${webhook('tuning.finished')} } }`)).toEqual([])
    expect(declared('batch.failed')).toEqual(['nobody sends events of the type `tuning.finished`'])
  })
})

describe('what is doubted besides the fixtures', () => {
  it('is a type that nobody sends, and not what it holds', () => {
    const when = '{ type: [tuning.finished, batch.failed], data: { tuned_model: [x] } }'
    expect(doubtsOf(`{ name: odd, when: ${when}, to: [stream] }`)).toEqual(['nobody sends events of the type `tuning.finished`'])
  })

  it.each([
    ['a key that dies with every other type', 'to: [{ sink: stream, key: event.data.error_code }]', /whose deliveries die of it/],
    ['an operator on types', 'when: { type: [{ suffix: .failled }] }, to: [stream]', /did you mean `\.failed`/],
    [
      'a field in an alternative',
      'when: { type: batch.failed, $or: [{ data: { eror_code: [x] } }, { subject: a }] }, to: [stream]',
      /error_code/,
    ],
    ['a field in brackets', 'when: { type: batch.failed }, if: \'event.data["eror_code"] == "x"\', to: [stream]', /error_code/],
    [
      'a gap beside another filter',
      `when: { type: [batch.failed, batch.expired] }, ${ops('{{ event.data.error_code | upcase }}')}`,
      /missing in batch\.expired/,
    ],
  ])('%s', (_, rule, message) => {
    expect(doubtsOf(`{ name: odd, ${rule} }`)).toEqual([expect.stringMatching(message)])
  })
})

describe('the catalog', () => {
  it('is that of the emulator, whose examples hold nothing else', () => {
    expect(eventTypes.toSorted()).toEqual(catalogTypes.toSorted())
    for (const type of catalogTypes)
      for (const field of Object.keys(exampleEvent(type, { id: 'x', now: new Date(0) }).data))
        expect(dataFieldsOf(type)).toContain(field)
  })
})
