/** Notices that files of a configuration have changed, however that is done: written, replaced, or behind a link that was turned. */
import { stampsNow, type Stamps } from './stamp.ts'

export interface ConfigWatch {
  stop: () => void
}

export interface ConfigWatchOptions {
  /** Files, and directories whose entries matter, as they were when they were read last. */
  looked: () => Stamps
  /** Whether somebody reads them at this moment, who may know of a change already. */
  reading: () => boolean
  /** Reads them again. */
  changed: () => Promise<unknown>
  everyMs?: number
}

/**
 * Files are looked at, since notifications of the system know nothing of what a link leads to, which is how configurations are mounted
 * into containers. A change counts once it has lasted from one look to the next: an editor may write a file in several steps.
 */
export function watchConfig({ looked, reading, changed, everyMs = 500 }: ConfigWatchOptions): ConfigWatch {
  let read = looked()
  let known = read
  let seen: Stamps = new Map()
  let stopped = false
  let timer: NodeJS.Timeout | undefined

  async function look(): Promise<void> {
    learn()
    const now = await stampsNow(known.keys())
    const isLasting = !differs(now, seen)
    seen = now
    const isRead = reading() || looked() !== read
    if (isLasting && differs(now, known) && !isRead && !stopped) {
      // What this reading passes over, behind a file that is broken, is not to be asked for again and again.
      known = now
      await changed()
      learn()
    }
    if (stopped) return
    timer = setTimeout(() => void look(), everyMs)
    timer.unref()
  }

  /** Somebody has read them. */
  function learn(): void {
    if (looked() === read) return
    read = looked()
    known = new Map([...known, ...read])
  }

  void look()
  return {
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}

/** Whether something that both know of is another. */
function differs(now: Stamps, before: Stamps): boolean {
  return [...now].some(([path, stamp]) => (before.get(path) ?? stamp) !== stamp)
}
