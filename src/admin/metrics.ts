/** What a running relay tells of itself, in the text format of Prometheus: read when somebody asks, from what the process knows anyway. */
import { Counter, Gauge, Registry } from 'prom-client'
import { refusalStatus } from '../errors.ts'
import type { ConfigState } from '../reload.ts'
import { version } from '../version.ts'

export interface MetricsOptions {
  config: () => ConfigState
  /** How many requests were refused, by the code of the answer. */
  refusals: () => Readonly<Record<string, number>>
  /** Names of the configured ones. */
  sinks: () => readonly string[]
  isPaused: (sink: string) => boolean
}

export interface Metrics {
  contentType: string
  text: () => Promise<string>
}

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number]

/** Counts are told from 0 on: a series that appears with its first count has not risen yet, to a query that asks for its increase. */
export function createMetrics({ config, refusals, sinks, isPaused }: MetricsOptions): Metrics {
  const registry = new Registry()

  function gauge(name: string, help: string, labelNames: string[], read: () => readonly Sample[]): void {
    const metric = new Gauge({
      name,
      help,
      labelNames,
      registers: [], // else it is in one for the whole process
      collect() {
        this.reset()
        for (const [labels, value] of read()) this.set(labels, value)
      },
    })
    registry.registerMetric(metric)
  }

  function counter(name: string, help: string, labelNames: string[], read: () => readonly Sample[]): void {
    const metric = new Counter({
      name,
      help,
      labelNames,
      registers: [],
      collect() {
        this.reset()
        for (const [labels, value] of read()) this.inc(labels, value)
      },
    })
    registry.registerMetric(metric)
  }

  gauge('gemini_relay_build_info', 'The version that runs; always 1.', ['version'], () => [[{ version }, 1]])
  gauge('gemini_relay_config_info', 'The configuration that runs, by its hash; always 1.', ['hash'], () => [
    [{ hash: config().hash }, 1],
  ])
  gauge('gemini_relay_config_applied_timestamp_seconds', 'Since when the configuration runs, in Unix time.', [], () => [
    [{}, Date.parse(config().since) / 1_000],
  ])
  gauge('gemini_relay_config_last_reload_successful', '0 while the last reload was refused, else 1.', [], () => [
    [{}, config().refused === undefined ? 1 : 0],
  ])
  counter('gemini_relay_config_reloads_total', 'Reloads of the configuration, by what became of them.', ['result'], () =>
    Object.entries(config().reloads).map(([result, count]) => [{ result }, count]),
  )
  counter('gemini_relay_refused_requests_total', 'Requests that were refused, by the code of the answer.', ['code'], () => {
    const counts = refusals()
    return Object.keys(refusalStatus).map((code) => [{ code }, counts[code] ?? 0])
  })
  gauge('gemini_relay_sink_paused', '1 while the sink is paused, else 0.', ['sink'], () =>
    sinks().map((sink) => [{ sink }, isPaused(sink) ? 1 : 0]),
  )
  return { contentType: registry.contentType, text: () => registry.metrics() }
}
