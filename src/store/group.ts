/**
 * Group commit: items that arrive while one group is being written form the next. One group is in flight at a time: a
 * second concurrent one made it slower (contention on the same pages), and one keeps groups large when it matters.
 */
export interface GroupOptions<T, R> {
  /** Writes a group and gives one result an item, in order. A rejection rejects every item of the group. */
  write: (items: readonly T[]) => Promise<readonly R[]>
  /** Items in one group at most. */
  maxItems: number
  /** Sum of `weigh` in one group at most, whatever its unit. A single heavier item goes alone. */
  maxWeight?: number
  weigh?: (item: T) => number
}

export interface Group<T, R> {
  /** Settles once the group that holds the item has been written. */
  add(item: T): Promise<R>
  /** Items waiting, those in flight not counted. */
  readonly waiting: number
  /** Does `work` while nothing is in flight: at once, or after the group that is and before the next. Rejects with what it throws. */
  between(work: () => void): Promise<void>
  /** Settles when nothing waits and nothing is in flight. */
  idle(): Promise<void>
}

interface Entry<T, R> {
  item: T
  resolve(result: R): void
  reject(reason: unknown): void
}

export function createGroup<T, R>({ write, maxItems, maxWeight = Infinity, weigh = () => 0 }: GroupOptions<T, R>): Group<T, R> {
  let waiting: Entry<T, R>[] = []
  let writing = false
  let idlers: (() => void)[] = []
  const gaps: (() => void)[] = []

  function take(): Entry<T, R>[] {
    let weight = 0
    let count = 0
    for (const { item } of waiting) {
      weight += weigh(item)
      if (count > 0 && (count === maxItems || weight > maxWeight)) break
      count++
    }
    if (count === waiting.length) {
      const all = waiting
      waiting = []
      return all
    }
    return waiting.splice(0, count)
  }

  async function flush(): Promise<void> {
    while (waiting.length > 0 || gaps.length > 0) {
      for (const work of gaps.splice(0)) work()
      const entries = take()
      if (entries.length === 0) continue
      try {
        const results = await write(entries.map((entry) => entry.item))
        if (results.length !== entries.length)
          throw new Error(`a group of ${entries.length} came back with ${results.length} results`)
        for (const [index, result] of results.entries()) entries[index]?.resolve(result)
      } catch (error) {
        for (const entry of entries) entry.reject(error)
      }
    }
    writing = false
    for (const resolve of idlers) resolve()
    idlers = []
  }

  return {
    add(item) {
      return new Promise((resolve, reject) => {
        waiting.push({ item, resolve, reject })
        if (writing) return
        writing = true
        // Whatever else this turn of the event loop reads from its sockets joins the group.
        setImmediate(() => void flush())
      })
    },
    async between(work) {
      if (!writing) return work()
      await new Promise<void>((resolve, reject) => {
        gaps.push(() => {
          try {
            work()
            resolve()
          } catch (error) {
            reject(error)
          }
        })
      })
    },
    get waiting() {
      return waiting.length
    },
    idle() {
      return writing ? new Promise((resolve) => idlers.push(resolve)) : Promise.resolve()
    },
  }
}
