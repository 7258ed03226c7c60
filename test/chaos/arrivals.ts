/** What reached the sinks, as their own ends saw it. */

export interface Arrival {
  sink: string
  /** Empty where the sink's end cannot tell. */
  rule: string
  id: string
  /** Milliseconds since the epoch. */
  at: number
  /** Whether it was taken: one that was answered 500 has not arrived. */
  taken: boolean
  /** See `payloadOf`. */
  payload: string
  /** Of the rule's text, where it is told. */
  revision?: number
}

export interface Arrivals {
  note(arrival: Arrival): void
  /** All at one sink, in order. */
  at(sink: string): readonly Arrival[]
  of(sink: string, id: string): readonly Arrival[]
  count(): number
}

export function createArrivals(): Arrivals {
  const bySink = new Map<string, Arrival[]>()
  const byId = new Map<string, Arrival[]>()
  let count = 0

  function listIn(map: Map<string, Arrival[]>, key: string): Arrival[] {
    const known = map.get(key)
    if (known !== undefined) return known
    const made: Arrival[] = []
    map.set(key, made)
    return made
  }

  return {
    note(arrival) {
      listIn(bySink, arrival.sink).push(arrival)
      listIn(byId, `${arrival.sink} ${arrival.id}`).push(arrival)
      count++
    },
    at: (sink) => bySink.get(sink) ?? [],
    of: (sink, id) => byId.get(`${sink} ${id}`) ?? [],
    count: () => count,
  }
}
