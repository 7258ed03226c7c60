/** Standard error for lines that nobody waits for: neither a slow reader nor a full disk holds up the process, or ends it. */
import { write, writeSync } from 'node:fs'

const stderr = 2

/** What waits to be written at most, in bytes: some ten thousand lines. What comes after that is not kept. */
const maxWaitingBytes = 4 * 1_048_576

/** Lines are written together up to so many bytes: a quarter of what a pipe holds. */
const maxChunkBytes = 16_384

/** What a pipe or a disk has no room for is tried again after so long, in milliseconds. */
const retryMs = 100

/** A process that ends does not wait longer than this for its reader, in milliseconds. */
const exitWaitMs = 1_000

/** It looks so often whether there is room again: a reader that keeps up is given megabytes in that second. */
const exitRetryMs = 5

export interface PatientStderr {
  write: (line: string) => void
}

let shared: PatientStderr | undefined

/** One for the process, which has one stderr. */
export function patientStderr(): PatientStderr {
  return (shared ??= createPatientStderr())
}

function createPatientStderr(): PatientStderr {
  const chunks: Buffer[][] = []
  let lastBytes = 0
  /** What is written at the moment; a pipe may take a part of it. */
  let unwritten: Buffer = Buffer.alloc(0)
  let waitingBytes = 0
  let dropped = 0
  let isWriting = false
  let retrying: NodeJS.Timeout | undefined

  function add(text: string): void {
    const line = Buffer.from(text)
    if (waitingBytes + line.length > maxWaitingBytes) {
      dropped++
      return
    }
    waitingBytes += line.length
    lastBytes += line.length
    const last = chunks.at(-1)
    if (last !== undefined && lastBytes <= maxChunkBytes) last.push(line)
    else {
      chunks.push([line])
      lastBytes = line.length
    }
    writeOn()
  }

  function writeOn(): void {
    if (isWriting || retrying !== undefined || !hasNext()) return
    isWriting = true
    write(stderr, unwritten, (error, bytes) => {
      isWriting = false
      if (error === null) took(bytes)
      else retrying = setTimeout(again, retryMs).unref()
      writeOn()
    })
  }

  function again(): void {
    retrying = undefined
    writeOn()
  }

  function hasNext(): boolean {
    if (unwritten.length === 0) unwritten = Buffer.concat(chunks.shift() ?? [])
    return unwritten.length > 0
  }

  function took(bytes: number): void {
    unwritten = unwritten.subarray(bytes)
    waitingBytes -= bytes
    if (waitingBytes > 0 || dropped === 0) return
    const line = {
      level: 'warn',
      time: new Date(),
      lines: dropped,
      msg: 'lines of the log are missing here: stderr took no more',
    }
    dropped = 0
    add(`${JSON.stringify(line)}\n`)
  }

  function finish(): void {
    // What another thread is writing is on its way.
    if (isWriting) took(unwritten.length)
    isWriting = true
    const until = performance.now() + exitWaitMs
    while (hasNext()) {
      try {
        took(writeSync(stderr, unwritten))
      } catch (error) {
        if (!isUnread(error) || performance.now() > until) return
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, exitRetryMs)
      }
    }
  }

  process.on('exit', finish)
  return { write: add }
}

/** A full pipe; whatever else is wrong is not mended by waiting a second. */
function isUnread(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN'
}
