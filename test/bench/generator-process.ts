/**
 * The load: a process of its own over plain sockets, because an HTTP client would cost more than the servers under test.
 * Requests are signed in a window before they are sent, so that a slice measures sending and answers.
 */
import { connect, type Socket } from 'node:net'
import { createPrivateKey } from 'node:crypto'
import { epochClock } from './clock.ts'
import type { Answer, Command, Prepare, Report, Run, Slice } from './generator.ts'
import { createRequests } from './requests.ts'
import { quantile } from './statistics.ts'

const inUse = {
  port: 0,
  requests: undefined as (() => Buffer) | undefined,
  window: [] as Buffer[],
  /** What the sinks have, as the harness last told. */
  delivered: 0,
  /** The harness wants the run to end. */
  ending: false,
  signMicros: 0,
}

function prepare({ window, ...options }: Prepare): void {
  const { ed25519, rs256 } = options.keys
  inUse.port = options.port
  inUse.requests = createRequests({
    ...options,
    keys: {
      ...(ed25519 === undefined ? {} : { ed25519: createPrivateKey(ed25519) }),
      ...(rs256 === undefined ? {} : { rs256: { kid: rs256.kid, key: createPrivateKey(rs256.pem) } }),
    },
  })
  inUse.delivered = 0
  const before = process.cpuUsage()
  inUse.window = Array.from({ length: window }, inUse.requests).toReversed()
  inUse.signMicros = cpuMicros(before) / Math.max(1, window)
}

/** The next signed request; a window that is used up is followed by requests signed one by one, if the run may go on so. */
function next(rolling: boolean): Buffer | undefined {
  return inUse.window.pop() ?? (rolling ? inUse.requests?.() : undefined)
}

interface Connection {
  socket: Socket
  received: string
  /** When the request under way was due, in milliseconds of performance.now(). */
  since: number
  /** Of a run that records its answers. */
  request: Buffer | undefined
  busy: boolean
}

async function run(options: Run): Promise<Slice> {
  const { connections: count, seconds, perSecond, backlog = Infinity, rolling = false, record = false } = options
  const latencies: number[] = []
  const recorded: { request: Buffer; at: number; latencyMs: number }[] = []
  const backlogs: number[] = []
  const statuses: Record<string, number> = {}
  let answered = 0
  let sent = 0
  let failures = 0
  let over = false
  inUse.ending = false
  const connections = await Promise.all(Array.from({ length: count }, () => open(inUse.port)))
  const epoch = record ? epochClock() : undefined
  const started = performance.now()
  const usage = process.cpuUsage()
  const ends = started + seconds * 1_000
  let lastAt = started
  let finish: () => void = () => {}
  const finished = new Promise<void>((resolve) => (finish = resolve))
  const idle: Connection[] = []

  function send(connection: Connection, since: number): void {
    const request = next(rolling)
    if (request === undefined) over = true
    if (over || request === undefined) return settle(connection)
    connection.since = since
    connection.busy = true
    if (record) connection.request = request
    sent++
    connection.socket.write(request)
  }

  function settle(connection: Connection): void {
    connection.busy = false
    idle.push(connection)
    if (over && idle.length === connections.length) finish()
  }

  function answeredOn(connection: Connection, status: string): void {
    const now = performance.now()
    latencies.push(now - connection.since)
    statuses[status] = (statuses[status] ?? 0) + 1
    if (status === '200') answered++
    const { request } = connection
    if (epoch !== undefined && request !== undefined && status === '200')
      recorded.push({ request, at: epoch(now), latencyMs: now - connection.since })
    lastAt = now
    if (now >= ends) over = true
    if (perSecond !== undefined || sent - inUse.delivered >= backlog) settle(connection)
    else send(connection, now)
  }

  for (const connection of connections) {
    const { socket } = connection
    socket.on('data', (chunk: Buffer) => {
      connection.received += chunk.toString('latin1')
      const status = takeAnswer(connection)
      if (status !== undefined) answeredOn(connection, status)
    })
    socket.on('close', () => {
      if (!connection.busy) return
      failures++
      settle(connection)
    })
    socket.on('error', () => {})
  }

  // With a rate, requests are due by the clock and wait for a free connection: a slow answer does not slow the sender down.
  let due = 0
  const timer = setInterval(
    () => {
      const now = performance.now()
      if (now >= ends || inUse.ending) over = true
      if (options.backlog !== undefined && now - started > (backlogs.length + 1) * 1_000) backlogs.push(sent - inUse.delivered)
      if (perSecond !== undefined) {
        const owed = Math.floor(((Math.min(now, ends) - started) / 1_000) * perSecond)
        for (; due < owed; due++) {
          const connection = idle.pop()
          if (connection === undefined) break
          send(connection, started + ((due + 1) / perSecond) * 1_000)
        }
      } else if (!over) {
        for (let room = backlog - (sent - inUse.delivered); room > 0 && idle.length > 0; room--) {
          const connection = idle.pop()
          if (connection !== undefined) send(connection, now)
        }
      }
      if (over && idle.length === connections.length) finish()
    },
    perSecond === undefined ? 5 : 1,
  )
  idle.push(...connections)
  if (perSecond === undefined) {
    for (const connection of idle.splice(0)) send(connection, performance.now())
  }
  await finished
  clearInterval(timer)
  for (const { socket } of connections) socket.destroy()
  latencies.sort((a, b) => a - b)
  const tookSeconds = (lastAt - started) / 1_000
  return {
    seconds: tookSeconds,
    answered,
    perSecond: answered / tookSeconds,
    failures,
    statuses,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    max: latencies.at(-1) ?? Number.NaN,
    sendMicros: cpuMicros(usage) / Math.max(1, sent),
    signMicros: inUse.signMicros,
    backlogs,
    answers: recorded.map(({ request, ...times }): Answer => ({ webhookId: webhookIdOf(request), ...times })),
  }
}

async function open(port: number): Promise<Connection> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  return { socket, received: '', since: 0, request: undefined, busy: false }
}

/** The status of a whole answer, taken off what was received; one request is under way at a time, so nothing follows it. */
function takeAnswer(connection: Connection): string | undefined {
  const { received } = connection
  const headersEnd = received.indexOf('\r\n\r\n')
  if (headersEnd === -1) return undefined
  const length = /\r\ncontent-length: *(\d+)/i.exec(received)?.[1]
  if (length === undefined) throw new Error(`an answer without Content-Length: ${received}`)
  if (received.length < headersEnd + 4 + Number(length)) return undefined
  connection.received = ''
  return received.slice(9, 12)
}

function webhookIdOf(request: Buffer): string {
  return /\r\nwebhook-id: (\S+)/.exec(request.toString('latin1'))?.[1] ?? ''
}

function cpuMicros(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since)
  return user + system
}

process.on('message', (command: Command) => {
  void answer(command).catch((error: unknown) => report({ kind: 'failed', error: String(error) }))
})

async function answer(command: Command): Promise<void> {
  if (command.kind === 'delivered') inUse.delivered = command.count
  else if (command.kind === 'end') inUse.ending = true
  else if (command.kind === 'prepare') {
    prepare(command.prepare)
    report({ kind: 'prepared' })
  } else report({ kind: 'done', slice: await run(command.run) })
}

function report(message: Report): void {
  process.send?.(message)
}
