import { describe, expect, it } from 'vitest'
import { createGroup } from '../../src/store/group.ts'

/** A writer that shows its groups and ends them when the test says so. */
function manual() {
  const groups: { items: readonly string[]; end(): void; fail(error: unknown): void }[] = []
  const write = (items: readonly string[]) =>
    new Promise<string[]>((resolve, reject) => {
      groups.push({ items, end: () => resolve(items.map((item) => item.toUpperCase())), fail: reject })
    })
  return { groups, write }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('a group', () => {
  it('holds what was added in one turn of the event loop, and gives each item its own result', async () => {
    const { groups, write } = manual()
    const group = createGroup({ write, maxItems: 100 })
    const results = Promise.all(['a', 'b', 'c'].map((item) => group.add(item)))
    await turn()
    expect(groups.map(({ items }) => items)).toEqual([['a', 'b', 'c']])
    groups[0]?.end()
    expect(await results).toEqual(['A', 'B', 'C'])
  })

  it('is alone in flight: what comes meanwhile forms the next', async () => {
    const { groups, write } = manual()
    const group = createGroup({ write, maxItems: 100 })
    const first = group.add('a')
    await turn()
    const rest = Promise.all(['b', 'c'].map((item) => group.add(item)))
    await turn()
    expect([groups.length, group.waiting]).toEqual([1, 2])
    groups[0]?.end()
    expect(await first).toBe('A')
    await turn()
    expect([groups[1]?.items, group.waiting]).toEqual([['b', 'c'], 0])
    groups[1]?.end()
    expect(await rest).toEqual(['B', 'C'])
  })

  it('leaves a moment between two groups in which nothing is in flight', async () => {
    const { groups, write } = manual()
    const group = createGroup({ write, maxItems: 100 })
    const seen: string[] = []
    await group.between(() => seen.push(`idle, ${groups.length} groups`))
    const first = group.add('a')
    await turn()
    const second = group.add('b')
    const between = group.between(() => seen.push(`after a, ${groups.length} groups`))
    await turn()
    expect(seen).toEqual(['idle, 0 groups'])
    groups[0]?.end()
    await between
    expect(await first).toBe('A')
    expect(seen).toEqual(['idle, 0 groups', 'after a, 1 groups'])
    await turn()
    const refused = group.between(() => {
      throw new Error('no')
    })
    groups[1]?.end()
    await expect(refused).rejects.toThrow('no')
    expect(await second).toBe('B')
    await group.idle()
  })

  it('that fails rejects its own items only', async () => {
    const { groups, write } = manual()
    const group = createGroup({ write, maxItems: 2 })
    const settled = Promise.allSettled(['a', 'b', 'c'].map((item) => group.add(item)))
    await turn()
    groups[0]?.fail(new Error('no'))
    await turn()
    groups[1]?.end()
    expect((await settled).map((one) => (one.status === 'fulfilled' ? one.value : String(one.reason)))).toEqual([
      'Error: no',
      'Error: no',
      'C',
    ])
  })

  it('that comes back with too few results is an error, not a wrong answer', async () => {
    const group = createGroup<string, string>({ write: async (items) => items.slice(1), maxItems: 10 })
    const settled = await Promise.allSettled(['a', 'b'].map((item) => group.add(item)))
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await group.idle()
  })
})

it.each([
  ['items', { maxItems: 2 }, ['a', 'b', 'c', 'd', 'e'], [['a', 'b'], ['c', 'd'], ['e']]],
  [
    'weight',
    { maxItems: 9, maxWeight: 5 },
    ['aa', 'bbb', 'c', 'dd'],
    [
      ['aa', 'bbb'],
      ['c', 'dd'],
    ],
  ],
  [
    'weight, with one that is heavier alone',
    { maxItems: 9, maxWeight: 3 },
    ['a', 'bbbbb', 'c', 'd'],
    [['a'], ['bbbbb'], ['c', 'd']],
  ],
])('is bounded by %s and keeps the order', async (_, limits, items, groups) => {
  const seen: (readonly string[])[] = []
  const group = createGroup<string, string>({
    ...limits,
    weigh: (item) => item.length,
    write: async (written) => {
      seen.push(written)
      return written
    },
  })
  expect(await Promise.all(items.map((item) => group.add(item)))).toEqual(items)
  expect(seen).toEqual(groups)
})

it('is idle at once with nothing to do, and else when the last group has ended', async () => {
  const { groups, write } = manual()
  const group = createGroup({ write, maxItems: 1 })
  await group.idle()
  const all = [group.add('a'), group.add('b')]
  let idle = false
  const waiting = group.idle().then(() => (idle = true))
  await turn()
  groups[0]?.end()
  await turn()
  await turn()
  expect(idle).toBe(false)
  groups[1]?.end()
  await waiting
  expect(await Promise.all(all)).toEqual(['A', 'B'])
})
