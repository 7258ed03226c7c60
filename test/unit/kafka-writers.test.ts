import { beforeEach, describe, expect, it } from 'vitest'
import type { TopicRecord } from '../../src/sinks/kafka-topic.ts'
import { createTopicWriters, type TopicWriters } from '../../src/sinks/kafka-writers.ts'

const never = new AbortController().signal

/** What happened, in order: `open a`, `write a`, `close a`. */
let happened: string[]
/** Ends the writes to a topic that are under way. */
let finish: Map<string, () => void>
let slow: Set<string>
let writers: TopicWriters

beforeEach(() => {
  happened = []
  finish = new Map()
  slow = new Set()
  writers = createTopicWriters((topic) => {
    happened.push(`open ${topic}`)
    return {
      async write() {
        happened.push(`write ${topic}`)
        if (slow.has(topic)) await new Promise<void>((resolve) => finish.set(topic, resolve))
      },
      async close() {
        happened.push(`close ${topic}`)
      },
    }
  }, 2)
})

const record: TopicRecord = { key: null, value: Buffer.from('{}'), headers: {}, settle() {} }

function write(topic: string, signal = never): Promise<void> {
  return writers.write(topic, [record], signal)
}

describe('the writers of topics', () => {
  it('are opened as topics come, once each, and all closed at the end', async () => {
    await write('a')
    await write('b')
    await write('a')
    await writers.close()
    expect(happened).toEqual(['open a', 'write a', 'open b', 'write b', 'write a', 'close b', 'close a'])
  })

  it('make room by closing the one that was used least recently', async () => {
    for (const topic of ['a', 'b', 'a', 'c']) await write(topic)
    expect(happened).toEqual(['open a', 'write a', 'open b', 'write b', 'write a', 'close b', 'open c', 'write c'])
  })

  it('close none that is in use: what has no place waits for one, and has its turn', async () => {
    slow = new Set(['a', 'b'])
    const busy = [write('a'), write('b')]
    const waiting = [write('c'), write('d')]
    await new Promise((resolve) => setImmediate(resolve))
    expect(happened).toEqual(['open a', 'write a', 'open b', 'write b'])
    finish.get('b')?.()
    await Promise.all(waiting)
    expect(happened.slice(4)).toEqual(['close b', 'open c', 'write c', 'close c', 'open d', 'write d'])
    finish.get('a')?.()
    await Promise.all(busy)
  })

  it('give up waiting at the signal, with nothing written, and leave the turn to others', async () => {
    slow = new Set(['a', 'b'])
    const busy = [write('a'), write('b')]
    const given = new AbortController()
    const givenUp = write('c', given.signal)
    const other = write('d')
    given.abort()
    await givenUp
    finish.get('a')?.()
    await other
    finish.get('b')?.()
    await Promise.all(busy)
    expect(happened).not.toContain('open c')
    expect(happened).toContain('write d')
  })
})
