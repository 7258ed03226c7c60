/**
 * Messages that belong to a job: the first event of a job posts one, later ones answer in its thread or edit it. What Slack
 * answered is stored before the delivery counts as done, so that neither a restart nor another process forgets it.
 */
import type { JobMode } from '../config/job-messages.ts'
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Pool } from '../store/pool.ts'
import { findJobMessage, saveJobMessage, type JobMessage, type JobMessageKey } from '../store/slack-messages.ts'
import { isUnavailable } from '../store/sqlstate.ts'
import type { Failure, LeasedDelivery, Outcome, StoredEvent } from '../types.ts'
import { failed } from './sink.ts'
import type { AnsweredMessage, SlackCall } from './slack-call.ts'
import { lostToAnswers, lostToEdits } from './slack-errors.ts'
import { editArguments, postArguments, type SlackContent } from './slack-message.ts'

interface JobMessagesOptions {
  sink: string
  pool: Pool
  call: SlackCall
  log: Log
}

export interface JobDelivery {
  delivery: LeasedDelivery
  /** As configured. */
  channel: string
  job: JobMode
  content: SlackContent
  signal: AbortSignal
}

export interface JobMessages {
  /** The sink has no other delivery of the subject under way: see withJobOrder. */
  deliver(delivery: JobDelivery): Promise<Outcome>
}

export function createJobMessages({ sink, pool, call, log }: JobMessagesOptions): JobMessages {
  /** By delivery, what Slack has and Postgres has not (yet): its next attempt here does not post it again. */
  const unsaved = new Map<string, JobMessage>()

  async function deliver(to: JobDelivery): Promise<Outcome> {
    const { delivery, job } = to
    const posted = unsaved.get(delivery.id)
    if (posted !== undefined) return record(to, { ...posted, ...takenBy(to) })
    let known: JobMessage | undefined
    try {
      known = await findJobMessage(pool, keyOf(to))
    } catch (error) {
      return databaseFailure(error, 'nothing was posted')
    }
    if (known === undefined) return post(to)
    // An attempt before this one got so far, and its outcome was lost.
    if (known.delivery === delivery.id) return { status: 'delivered' }
    if (BigInt(known.lease) > BigInt(delivery.lease.id)) return { status: 'lost' }
    return job === 'thread' ? answer(to, known) : edit(to, known)
  }

  async function post(to: JobDelivery): Promise<Outcome> {
    const answered = await call('chat.postMessage', postArguments(to.channel, to.content), to.signal, to.channel)
    return answered.ok ? record(to, firstMessage(to, answered.message)) : answered.failure
  }

  async function answer(to: JobDelivery, known: JobMessage): Promise<Outcome> {
    const { channel, ts } = known
    const answered = await call('chat.postMessage', postArguments(channel, to.content, ts), to.signal, to.channel)
    if (!answered.ok) return lostToAnswers.has(answered.error ?? '') ? replace(to, answered.error) : answered.failure
    if (answered.message.threadTs === ts) return record(to, { ...known, ...takenBy(to) })
    // There was nothing to answer, and Slack posted it to the channel: the thread goes on from there.
    noteLoss(to, 'not in the thread')
    return record(to, firstMessage(to, answered.message))
  }

  async function edit(to: JobDelivery, known: JobMessage): Promise<Outcome> {
    const { stored } = to.delivery
    if (isOlder(stored, known.shown)) return record(to, { ...known, ...takenBy(to) })
    const answered = await call('chat.update', editArguments(known.channel, known.ts, to.content), to.signal, to.channel)
    if (answered.ok) return record(to, { ...known, shown: stored, ...takenBy(to) })
    return lostToEdits.has(answered.error ?? '') ? replace(to, answered.error) : answered.failure
  }

  function replace(to: JobDelivery, error: string | undefined): Promise<Outcome> {
    noteLoss(to, error)
    return post(to)
  }

  function noteLoss({ delivery, channel }: JobDelivery, error: string | undefined): void {
    const { source, subject } = delivery.stored.event
    log.info({ sink, channel, source, subject, error }, 'the message of the job cannot be used any more: another takes its place')
  }

  /** Not bounded by the attempt's signal: what was posted is worth remembering, and the pool's timeouts are short. */
  async function record(to: JobDelivery, message: JobMessage | Failure): Promise<Outcome> {
    if ('status' in message) return message
    const { id } = to.delivery
    unsaved.set(id, message)
    try {
      const isSaved = await saveJobMessage(pool, keyOf(to), message)
      unsaved.delete(id)
      return { status: isSaved ? 'delivered' : 'lost' }
    } catch (error) {
      return databaseFailure(error, 'the message is posted; it is noted at the next attempt')
    }
  }

  function databaseFailure(error: unknown, consequence: string): Failure {
    const code = isUnavailable(error) ? 'unavailable' : 'internal'
    return failed(
      code,
      `the relay’s own database does not tell or take the message of the job: ${messageOf(error)}; ${consequence}`,
    )
  }

  function keyOf({ delivery, channel }: JobDelivery): JobMessageKey {
    const { source, subject } = delivery.stored.event
    return { sink, channel, source, subject }
  }

  return { deliver }
}

function takenBy({ delivery }: JobDelivery): Pick<JobMessage, 'delivery' | 'lease'> {
  return { delivery: delivery.id, lease: delivery.lease.id }
}

function firstMessage(to: JobDelivery, { channel, ts }: AnsweredMessage): JobMessage | Failure {
  if (channel !== undefined && ts !== undefined) return { channel, ts, shown: to.delivery.stored, ...takenBy(to) }
  return failed('rejected', 'the answer names no message, so that none can follow it: check the sink’s `api_url`')
}

/** By the same order as the rows of a table. */
function isOlder(event: StoredEvent, shown: JobMessage['shown']): boolean {
  const later = event.time.getTime() - shown.time.getTime()
  return later < 0 || (later === 0 && BigInt(event.id) < BigInt(shown.id))
}
