/** What deliveries would be, without making them: for `explain` and `test`. Nothing is opened, sent or stored. */
import type { Config, SinkConfig } from '../config/schema.ts'
import { targetsOf } from '../config/targets.ts'
import { ExpressionError } from '../route/expression.ts'
import { TemplateError } from '../route/template.ts'
import type { FailureCode } from '../errors.ts'
import { createConceal } from './conceal.ts'
import { stringifyJson } from './deep-json.ts'
import { headerSecrets } from './http-headers.ts'
import { compileRequests } from './http-request.ts'
import { compileRoutes } from './kafka-route.ts'
import { compileLines } from './log.ts'
import type { Rendering } from './sink.ts'
import { compileMessages } from './slack-message.ts'
import { compileColumns } from './table-columns.ts'

/** As JSON: what is sent, or why nothing can be. */
export type Preview = { sends: Record<string, unknown> } | { fails: { code: FailureCode; message: string } }

export interface Previews {
  of: (delivery: Rendering) => Preview
}

export function createPreviews(config: Config): Previews {
  const renderers = new Map(Object.entries(config.sinks).map(([name, sink]) => [name, rendererOf(name, sink, config)]))
  return {
    of(delivery) {
      try {
        const render = renderers.get(delivery.sink)
        if (render === undefined) throw new Error(`there is no sink ${delivery.sink}`)
        return { sends: render(delivery) }
      } catch (error) {
        if (error instanceof TemplateError) return { fails: { code: 'template_error', message: error.message } }
        if (error instanceof ExpressionError) return { fails: { code: 'expression_error', message: error.message } }
        throw error
      }
    },
  }
}

type Render = (delivery: Rendering) => Record<string, unknown>

function rendererOf(name: string, sink: SinkConfig, { rules }: Config): Render {
  switch (sink.type) {
    case 'slack': {
      const messages = compileMessages(name, sink, targetsOf(rules, name))
      return (delivery) => {
        const { channel, job, render } = found(messages.get(delivery.rule), delivery)
        const { text, blocks } = render(delivery)
        const { subject } = delivery.stored.event
        return { channel, ...(job && { [job]: subject }), text, ...(blocks && { blocks }) }
      }
    }
    case 'kafka': {
      const routes = compileRoutes(name, sink, targetsOf(rules, name))
      return (delivery) => {
        const { topic, record } = found(routes.get(delivery.rule), delivery)(delivery)
        const { key, value, headers } = record
        return { topic, key, headers, value: jsonOrText(value) }
      }
    }
    case 'table': {
      const columns = compileColumns(sink, targetsOf(rules, name))
      return (delivery) => {
        const { stored, resource } = delivery
        const row = found(columns.get(delivery.rule), delivery).map(({ column, read }) => [
          column,
          asJson(read(stored.event, resource)),
        ])
        return { table: sink.table, row: Object.fromEntries(row) }
      }
    }
    case 'http': {
      const { origin, pathname } = new URL(sink.url)
      const targets = targetsOf(rules, name)
      const requests = compileRequests(sink, targets)
      const conceal = createConceal(headerSecrets(sink, targets))
      return (delivery) => {
        const { headers, body, secrets } = found(requests.get(delivery.rule), delivery)(delivery)
        // What is recognizable first, so that the rest of such a value is seen.
        const shown = (value: string) => createConceal(secrets)(conceal(value))
        return {
          url: `${origin}${pathname}`,
          headers: Object.fromEntries(Object.entries(headers).map(([header, value]) => [header, shown(value)])),
          body: jsonOrText(body),
        }
      }
    }
    case 'log': {
      const lines = compileLines(sink, targetsOf(rules, name))
      return (delivery) => ({ line: JSON.parse(found(lines.get(delivery.rule), delivery)(delivery)) })
    }
    default:
      return sink satisfies never
  }
}

function found<T>(render: T | undefined, { rule, sink }: Rendering): T {
  if (render === undefined) throw new Error(`rule ${rule} does not feed the sink ${sink}`)
  return render
}

/** Before Postgres casts it to the type of its column. */
function asJson(value: unknown): unknown {
  return value === undefined ? null : JSON.parse(stringifyJson(value))
}

function jsonOrText(bytes: Buffer): unknown {
  const text = bytes.toString('utf8')
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
