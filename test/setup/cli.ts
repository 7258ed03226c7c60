/** A command of the built relay, run to its end. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { binary } from './relay-process.ts'

const run = promisify(execFile)

export interface Ran {
  code: number
  stdout: string
  stderr: string
}

export async function cli(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const options = { env: { PATH: process.env.PATH, ...env } }
  try {
    return { code: 0, ...(await run(process.execPath, [binary, ...args], options)) }
  } catch (error) {
    if (typeof error === 'object' && error !== null && 'code' in error && 'stdout' in error && 'stderr' in error) {
      return { code: Number(error.code), stdout: String(error.stdout), stderr: String(error.stderr) }
    }
    throw error
  }
}
