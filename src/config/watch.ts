/** Notices that files of a configuration have changed, however that is done: written, replaced, or behind a link that was turned. */
import { stat } from 'node:fs/promises'

export interface ConfigWatch {
  stop: () => void
}

export interface ConfigWatchOptions {
  /** Files, and directories whose entries matter. */
  looked: () => readonly string[]
  changed: () => Promise<unknown>
  everyMs?: number
}

/**
 * Files are looked at, since notifications of the system know nothing of what a link leads to, which is how configurations are mounted
 * into containers. A change counts once it has lasted from one look to the next: an editor may write a file in several steps.
 */
export function watchConfig({ looked, changed, everyMs = 500 }: ConfigWatchOptions): ConfigWatch {
  let known: ReadonlyMap<string, string> = new Map()
  let seen: ReadonlyMap<string, string> = new Map()
  let stopped = false
  let timer: NodeJS.Timeout | undefined

  async function look(): Promise<void> {
    const now = new Map(await Promise.all(looked().map(async (path) => [path, await stampOf(path)] as const)))
    if (stopped) return
    const isOther = differs(now, known)
    const isLasting = !differs(now, seen)
    if (!isOther || isLasting) known = now
    seen = now
    if (isOther && isLasting) await changed()
    if (stopped) return
    timer = setTimeout(() => void look(), everyMs)
    timer.unref()
  }

  void look()
  return {
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}

/** Whether something that both know of is another. What is looked at for the first time was just read. */
function differs(now: ReadonlyMap<string, string>, before: ReadonlyMap<string, string>): boolean {
  return [...now].some(([path, stamp]) => (before.get(path) ?? stamp) !== stamp)
}

async function stampOf(path: string): Promise<string> {
  try {
    const { mtimeMs, size, ino } = await stat(path)
    return `${ino} ${size} ${mtimeMs}`
  } catch {
    return 'not there'
  }
}
