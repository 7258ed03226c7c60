/** The Slack sink's end: the stand-in for Slack's Web API, told to fail, and what was posted to it. */
import { startSlackServer, type Fault, type SlackMessage } from '../../src/demo/slack-server.ts'
import type { Arrivals } from './arrivals.ts'
import { revisionMark } from './config.ts'
import type { SinkFault } from './faults.ts'

type SlackAnswer = Extract<SinkFault, { sink: 'slack' }>['answer']

export interface SlackEnd {
  port: number
  /** How calls are answered from now on; undefined: as ever. */
  answer(how: SlackAnswer | undefined): void
  /** Notes what was posted since the last call. */
  collect(): void
  stop(): Promise<void>
}

const faults: Record<SlackAnswer, Fault> = {
  error: { kind: 'status', status: 503 },
  'rate limited': { kind: 'rate_limited', retryAfter: 1 },
  silence: { kind: 'silent' },
  'cut short': { kind: 'cut_short' },
}

export async function startSlackEnd(arrivals: Arrivals): Promise<SlackEnd> {
  const server = await startSlackServer()
  let collected = 0
  return {
    port: Number(new URL(server.url).port),
    answer(how) {
      server.recover()
      if (how !== undefined) server.respond(faults[how], Infinity)
    },
    collect() {
      const messages = server.messages()
      for (const message of messages.slice(collected)) {
        const [payload, revision] = splitRevision(message.text)
        arrivals.note({ sink: 'ops', rule: '', id: webhookIdOf(message), at: message.at, taken: true, payload, revision })
      }
      collected = messages.length
    },
    stop: () => server.close(),
  }
}

/** What the rule said of itself, and the rest, which is about the message. */
function splitRevision(text: string): [payload: string, revision: number] {
  const at = text.lastIndexOf(revisionMark)
  return [text.slice(0, at), Number(text.slice(at + revisionMark.length))]
}

/** Every message carries it as metadata. */
function webhookIdOf({ metadata }: SlackMessage): string {
  const payload = property(metadata, 'event_payload')
  return String(property(payload, 'webhook_id'))
}

function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}
