/** The built relay with its standard output in a pipe that is read, or not: what a log sink's outage is. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { binary, writeConfig } from '../setup/relay-process.ts'
import { secret, type Target } from './servers.ts'

export interface PipedRelay extends Target {
  /** Lines read from its standard output so far. */
  lines(): number
  pause(): void
  resume(): void
}

const newline = 0x0a

export async function startPipedRelay(yaml: string, databaseUrl: string): Promise<PipedRelay> {
  const config = writeConfig(yaml)
  const child = spawn(process.execPath, [binary, 'serve', '--config', config.file], {
    env: { PATH: process.env['PATH'], DATABASE_URL: databaseUrl, SECRET: secret },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit').then(() => config.remove())
  let lines = 0
  child.stdout.on('data', (chunk: Buffer) => {
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, at + 1)) lines++
  })
  let log = ''
  const port = new Promise<number>((resolve, reject) => {
    child.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString()
      const ready = /"url":"http:\/\/[^"]*:(\d+)"[^\n]*gemini-relay is ready/.exec(log)
      if (ready !== null) resolve(Number(ready[1]))
    })
    void exited.then(() => reject(new Error(`the relay ended: ${log}`)))
  })
  return {
    port: await port,
    pid: child.pid ?? 0,
    lines: () => lines,
    pause: () => void child.stdout.pause(),
    resume: () => void child.stdout.resume(),
    async stop() {
      child.stdout.resume()
      child.kill()
      await exited
    },
  }
}
