/** How much memory a process has. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Resident, in megabytes of 1,048,576 bytes. */
export function residentMb(pid: number): number {
  return kilobytes(pid) / 1_024
}

function kilobytes(pid: number): number {
  if (process.platform !== 'linux') return Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' }))
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}
