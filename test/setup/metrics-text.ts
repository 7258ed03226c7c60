/** A strict reader of the text format of Prometheus, version 0.0.4. */

export interface ReadMetrics {
  /** The value of each series, by what stands before it: `name{label="value"}`. */
  series: ReadonlyMap<string, number>
  /** Of each metric. */
  types: ReadonlyMap<string, string>
}

const name = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const label = String.raw`[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\["\\n])*"`
const helpLine = new RegExp(String.raw`^# HELP (${name}) (?:[^\\]|\\[\\n])+$`)
const typeLine = new RegExp(`^# TYPE (${name}) (counter|gauge)$`)
const sampleLine = new RegExp(String.raw`^((${name})(?:\{${label}(?:,${label})*\})?) (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$`)

/** Each metric has a help, a type and its samples, in this order; nothing comes twice. */
export function readMetrics(text: string): ReadMetrics {
  const series = new Map<string, number>()
  const types = new Map<string, string>()
  let helped: string | undefined
  let current: string | undefined
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  for (const line of text.slice(0, -1).split('\n')) {
    const fail = (why: string): never => {
      throw new Error(`${why}: ${line}`)
    }
    if (line === '') continue
    const [, help] = helpLine.exec(line) ?? []
    const [, typed, type = ''] = typeLine.exec(line) ?? []
    const [, key = '', owner, value] = sampleLine.exec(line) ?? []
    if (help !== undefined) {
      if (types.has(help)) fail('a second help')
      helped = help
    } else if (typed !== undefined) {
      if (typed !== helped || types.has(typed)) fail('a type without its help')
      if ((type === 'counter') !== typed.endsWith('_total')) fail('a name that is not as its type')
      types.set(typed, type)
      current = typed
    } else if (owner !== undefined) {
      if (owner !== current) fail('a sample outside of its metric')
      if (series.has(key)) fail('a series twice')
      series.set(key, Number(value))
    } else fail('no line of the format')
  }
  return { series, types }
}
