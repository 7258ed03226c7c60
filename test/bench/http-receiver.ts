/** The harness' end of an http receiver, a process of its own that answers 200 and counts. */
import { fork } from 'node:child_process'
import { once } from 'node:events'

/** `open` listens on the port that it had the first time; `close` refuses connections and ends those there are. */
export type ReceiverCommand = 'open' | 'close' | 'count'

export interface ReceiverReport {
  port: number
  count: number
}

export interface HttpReceiver {
  port: number
  /** Requests answered so far. */
  count(): Promise<number>
  open(): Promise<void>
  close(): Promise<void>
  stop(): Promise<void>
}

export async function startHttpReceiver(): Promise<HttpReceiver> {
  const child = fork(new URL('./http-receiver-process.js', import.meta.url))

  async function ask(command: ReceiverCommand): Promise<ReceiverReport> {
    child.send(command)
    const [report]: ReceiverReport[] = await once(child, 'message')
    if (report === undefined) throw new Error('the http receiver is gone')
    return report
  }

  const { port } = await ask('open')
  return {
    port,
    count: async () => (await ask('count')).count,
    open: async () => void (await ask('open')),
    close: async () => void (await ask('close')),
    async stop() {
      child.kill()
      await once(child, 'exit')
    },
  }
}
