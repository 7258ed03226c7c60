/** The writers of a sink, one for each topic that is in use: made as topics come, and bounded, since events may say which. */
import type { TopicRecord, TopicWriter } from './kafka-topic.ts'

export interface TopicWriters {
  /** As {@link TopicWriter.write}; waits while all places are taken by topics that are being written to. Never throws. */
  write(topic: string, records: readonly TopicRecord[], signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** Each is a producer with connections of its own. Topics beyond it take turns, at the price of connecting anew. */
const maxWriters = 64

interface Place {
  writer: TopicWriter
  /** Writes under way. */
  uses: number
}

export function createTopicWriters(open: (topic: string) => TopicWriter, limit = maxWriters): TopicWriters {
  /** The least recently used first. */
  const places = new Map<string, Place>()
  const closing = new Set<Promise<void>>()
  /** Those who wait for a place, in order. */
  const waiting: (() => void)[] = []

  function close(writer: TopicWriter): void {
    const closed = writer.close().finally(() => closing.delete(closed))
    closing.add(closed)
  }

  /** Undefined while there is none to be had. */
  function placeOf(topic: string): Place | undefined {
    const known = places.get(topic)
    if (known === undefined && places.size >= limit) {
      const idle = [...places].find(([, { uses }]) => uses === 0)
      if (idle === undefined) return undefined
      places.delete(idle[0])
      close(idle[1].writer)
    }
    const place = known ?? { writer: open(topic), uses: 0 }
    places.delete(topic)
    places.set(topic, place)
    return place
  }

  /** Ends at the signal too. */
  function turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        signal.removeEventListener('abort', go)
        resolve()
      }
      waiting.push(go)
      signal.addEventListener('abort', go, { once: true })
    })
  }

  return {
    async write(topic, records, signal) {
      let place = placeOf(topic)
      while (place === undefined && !signal.aborted) {
        await turn(signal)
        place = placeOf(topic)
      }
      if (place === undefined) return
      place.uses++
      try {
        await place.writer.write(records, signal)
      } finally {
        place.uses--
        // All of them: one that has given up must not keep its turn from the others.
        for (const go of waiting.splice(0)) go()
      }
    },
    async close() {
      for (const { writer } of places.values()) close(writer)
      places.clear()
      await Promise.all(closing)
    },
  }
}
