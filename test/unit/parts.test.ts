import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createParts, createRetired } from '../../src/parts.ts'

function setUp() {
  const stopped: string[] = []
  const made: string[] = []
  const parts = createParts<string>((part) => void stopped.push(part))
  const make = (part: string) => () => {
    made.push(part)
    return part
  }
  return { parts, make, stopped, made }
}

describe('parts of a configuration', () => {
  it('stay where their settings are equal, whatever the order of their keys', async () => {
    const { parts, make, made } = setUp()
    const first = parts.draft()
    await first.take('a', { url: 'x', retry: { max: 1 } }, make('a1'))
    expect(first.use()).toEqual([])
    const second = parts.draft()
    expect(await second.take('a', { retry: { max: 1 }, url: 'x' }, make('a2'))).toBe('a1')
    expect(second.use()).toEqual([])
    expect(made).toEqual(['a1'])
  })

  it('are made anew where they are not, and hand over the old one, with those that are gone', async () => {
    const { parts, make } = setUp()
    const first = parts.draft()
    for (const name of ['a', 'b', 'c']) await first.take(name, { of: name }, make(`${name}1`))
    first.use()
    const second = parts.draft()
    expect(await second.take('a', { of: 'a' }, make('a2'))).toBe('a1')
    expect(await second.take('b', { of: 'other' }, make('b2'))).toBe('b2')
    expect(second.use()).toEqual(['b1', 'c1'])
  })

  it('of a draft that is abandoned stop, the newest first, and what ran goes on', async () => {
    const { parts, make, stopped } = setUp()
    const first = parts.draft()
    await first.take('a', 1, make('a1'))
    first.use()
    const second = parts.draft()
    await second.take('a', 1, make('never'))
    await second.take('b', 1, make('b2'))
    await second.take('c', 1, make('c2'))
    await expect(
      second.take('d', 1, () => {
        throw new Error('away')
      }),
    ).rejects.toThrow('away')
    await second.abandon()
    expect(stopped).toEqual(['c2', 'b2'])
    const third = parts.draft()
    expect(await third.take('a', 1, make('never'))).toBe('a1')
    await parts.stop()
    expect(stopped).toEqual(['c2', 'b2', 'a1'])
  })
})

describe('what a configuration has left', () => {
  it('is stopped when nothing uses it any more, and waited for at the end', async () => {
    const stopped: string[] = []
    const failures: unknown[] = []
    const retired = createRetired((error) => failures.push(error))
    let unused: () => void = () => {}
    retired.add(new Promise<void>((resolve) => (unused = resolve)), () => stopped.push('sink'))
    retired.add(
      sleep(60_000, undefined, { signal: retired.signal }).catch(() => {}),
      () => stopped.push('keys'),
    )
    retired.add(Promise.resolve(), () => {
      throw new Error('cannot')
    })
    await sleep(10)
    expect(stopped).toEqual([])
    unused()
    await retired.stop()
    expect(stopped.toSorted()).toEqual(['keys', 'sink'])
    expect(failures).toEqual([new Error('cannot')])
  })
})
