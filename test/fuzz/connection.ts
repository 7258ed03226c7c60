/** A plain socket to the relay: an HTTP client would repair what is wrong on purpose. */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAnswerReader, type Answer } from './answers.ts'
import type { Shot, Volley } from './volley.ts'

export interface Outcome {
  answers: readonly Answer[]
  /** Why there are no more of them: all are there, the connection ended, or nothing came for too long. */
  ended: 'answered' | 'closed' | 'late'
  /** What came and is no answer. */
  garbage?: string
}

export interface Connection {
  fire: (volley: Volley) => Promise<Outcome>
  /** Whether it can be used again. */
  isOpen: () => boolean
  destroy: () => void
}

/** The relay ends what takes 15 s; this is well beyond it. */
const lateMs = 30_000

/** Long enough that pieces arrive as pieces. */
const betweenPiecesMs = 2

export async function openConnection(port: number): Promise<Connection> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let wake = (): void => {}
  let answers: Answer[] = []
  let isLast = false
  const seen: { garbage?: string } = {}
  let shots: readonly Shot[] = []
  let reader = createAnswerReader(() => undefined)
  socket.on('data', (chunk: Buffer) => {
    try {
      answers.push(...reader.push(chunk))
    } catch (error) {
      seen.garbage ??= `${String(error)}: ${reader.rest()}`
    }
    wake()
  })
  socket.on('error', () => {})
  socket.on('close', () => wake())
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))

  async function until(isThere: () => boolean): Promise<Outcome['ended']> {
    const deadline = setTimeout(() => wake(), lateMs)
    const started = performance.now()
    try {
      while (!socket.closed && !isThere() && seen.garbage === undefined && performance.now() - started < lateMs - 1) {
        await new Promise<void>((resolve) => (wake = resolve))
      }
    } finally {
      clearTimeout(deadline)
    }
    return isThere() ? 'answered' : socket.closed ? 'closed' : 'late'
  }

  async function write(volley: Volley): Promise<void> {
    const bytes = Buffer.concat(shots.map((shot) => shot.bytes))
    let at = 0
    for (const cut of volley.cuts) {
      socket.write(bytes.subarray(at, cut))
      at = cut
      await sleep(betweenPiecesMs)
    }
    socket.write(bytes.subarray(at))
  }

  return {
    async fire(volley) {
      shots = volley.shots
      answers = []
      delete seen.garbage
      reader = createAnswerReader((n) => shots[n]?.method)
      let ended: Outcome['ended'] = 'answered'
      if (volley.paced) {
        for (const [n, { bytes }] of shots.entries()) {
          socket.write(bytes)
          ended = await until(() => answers.length > n)
          if (ended !== 'answered') break
        }
      } else {
        await write(volley)
        const last = shots.at(-1)
        const isBroken = last?.expected === 'broken'
        isLast = isBroken || last?.closing === true
        ended = await until(() => answers.length >= shots.length - (isBroken ? 1 : 0))
        if (isBroken && ended === 'answered') {
          // What the relay still waits for does not come. Not earlier: Node answers nothing that is under way at an end.
          socket.end()
          ended = await until(() => false)
        }
      }
      if (reader.rest() !== '') seen.garbage ??= reader.rest()
      return { answers, ended, ...seen }
    },
    isOpen: () => !socket.closed && !isLast,
    destroy: () => socket.destroy(),
  }
}
