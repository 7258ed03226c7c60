/** What the Slack messages of one job have to do with each other: `thread` and `update`. */
import type { Config, SinkConfig, SinkConfigOf, TargetConfig } from './schema.ts'
import { targetsOf } from './targets.ts'

/** `thread`: answers in the thread of the job's message. `update`: edits it. */
export type JobMode = 'thread' | 'update'

type PerJob = Pick<SinkConfigOf<'slack'>, JobMode>

/** @returns undefined where each event is a message of its own */
export function jobModeOf(sink: PerJob, target: Pick<TargetConfig, JobMode>): JobMode | undefined {
  if ((target.thread ?? sink.thread) === 'subject') return 'thread'
  return (target.update ?? sink.update) === 'subject' ? 'update' : undefined
}

/**
 * Two events of a job at once would both make its first message, on two relays too: where a rule of a Slack sink threads or
 * updates, the sink keeps the order of its subjects, which is one delivery of a subject at a time.
 */
export function withJobOrder(config: Config): Config {
  const sinks = Object.entries(config.sinks).map(([name, sink]): [string, SinkConfig] => {
    if (sink.type !== 'slack') return [name, sink]
    const hasJobs = targetsOf(config.rules, name).some(({ target }) => jobModeOf(sink, target) !== undefined)
    return [name, hasJobs ? { ...sink, order: 'subject' } : sink]
  })
  return { ...config, sinks: Object.fromEntries(sinks) }
}
