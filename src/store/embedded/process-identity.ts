/** Which process a pid means: pids are reused, so a pid alone proves nothing about who is alive. */
import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import process from 'node:process'

/**
 * When the process `pid` started, as text to compare for equality only. Undefined when it is gone, or a zombie that
 * nobody has collected yet.
 */
export function processStarted(pid: number): string | undefined {
  if (process.platform === 'linux') return fromProc(pid)
  if (process.platform === 'win32') return fromSignal(pid)
  return fromPs(pid)
}

/** Whether `pid` is a live process at work in `dir`: its working directory, or where that cannot be seen, its command line. */
export function worksIn(pid: number, dir: string): boolean {
  if (processStarted(pid) === undefined) return false
  if (process.platform === 'linux') return readLink(`/proc/${pid}/cwd`) === dir
  if (process.platform === 'win32') return true
  return ps(['-ww', '-o', 'args=', '-p', String(pid)]).includes(dir)
}

/** Changes with every boot of this machine, so that no process of an earlier boot counts as alive; empty where unknown. */
export function bootId(): string {
  return readText('/proc/sys/kernel/random/boot_id')?.trim() ?? ''
}

/** Fields of proc(5) stat after the command, which is in parentheses and may hold anything: 3 is the state, 22 the start. */
function fromProc(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const state = fields[0]
  return state === 'Z' || state === 'X' ? undefined : fields[19]
}

function fromPs(pid: number): string | undefined {
  const line = ps(['-o', 'stat=', '-o', 'lstart=', '-p', String(pid)]).trim()
  const [state, ...started] = line.split(/\s+/)
  return state === undefined || state === '' || state.startsWith('Z') ? undefined : started.join(' ')
}

/** Windows tells no start time without a shell: there a live pid counts as the same process. */
function fromSignal(pid: number): string | undefined {
  try {
    process.kill(pid, 0)
    return 'unknown'
  } catch {
    return undefined
  }
}

function ps(args: readonly string[]): string {
  try {
    return execFileSync('ps', args, {
      encoding: 'utf8',
      env: { PATH: '/bin:/usr/bin', LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  } catch {
    return ''
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
