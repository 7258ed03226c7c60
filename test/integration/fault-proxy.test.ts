import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startFaultProxy, type FaultProxy } from '../chaos/proxy.ts'
import { eventually } from '../setup/sender.ts'

let proxy: FaultProxy
/** What reached the far end, over all connections; it answers each piece with the same bytes. */
let heard: string
let stopEcho: () => Promise<void>
const clients: { socket: Socket; heard: () => string; ended: () => string }[] = []

beforeEach(async () => {
  heard = ''
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes: Buffer) => {
      heard += bytes.toString()
      socket.write(bytes)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  proxy = await startFaultProxy(() => (address !== null && typeof address === 'object' ? address.port : 0))
  stopEcho = async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
})

afterEach(async () => {
  for (const { socket } of clients.splice(0)) socket.destroy()
  await proxy.stop()
  await stopEcho()
})

function dial() {
  const socket = connect({ host: '127.0.0.1', port: proxy.port })
  let answered = ''
  let ended = ''
  socket.on('data', (bytes: Buffer) => (answered += bytes.toString()))
  socket.on('error', (error: NodeJS.ErrnoException) => (ended = error.code ?? 'error'))
  socket.on('end', () => (ended ||= 'end'))
  const client = { socket, heard: () => answered, ended: () => ended }
  clients.push(client)
  return client
}

/** A connection that has carried a byte each way. */
async function open() {
  const client = dial()
  client.socket.write('a')
  await eventually(client.heard, (text) => text === 'a')
  return client
}

it('passes what is said both ways, and the end of it', async () => {
  const client = await open()
  client.socket.end('bc')
  expect(await eventually(client.heard, (text) => text.length === 3)).toBe('abc')
  await eventually(client.ended, (how) => how === 'end')
  expect(proxy.strikes()).toBe(0)
})

it('resets what is open', async () => {
  const client = await open()
  await proxy.strike({ kind: 'reset' })
  expect(await eventually(client.ended, (how) => how !== '')).toBe('ECONNRESET')
  expect(proxy.strikes()).toBe(1)
})

it('resets the next connection where none is open', async () => {
  const struck = proxy.strike({ kind: 'reset' })
  const client = dial()
  expect(await eventually(client.ended, (how) => how !== '')).toBe('ECONNRESET')
  await struck
  expect(proxy.strikes()).toBe(1)
})

it('brings late what was said during a stall, even by a client that is gone', async () => {
  const client = await open()
  const struck = proxy.strike({ kind: 'stall', ms: 60_000, way: 'both' })
  client.socket.write('late')
  await sleep(50)
  client.socket.resetAndDestroy()
  await eventually(
    () => proxy.open(),
    (count) => count === 0,
  )
  expect(heard).toBe('a')
  proxy.heal()
  await struck
  expect(
    await eventually(
      () => heard,
      (text) => text !== 'a',
    ),
  ).toBe('alate')
})

it('loses answers on a half-open connection, never what is asked, and resets it in the end', async () => {
  const client = await open()
  const struck = proxy.strike({ kind: 'half-open', ms: 60_000 })
  client.socket.write('b')
  await eventually(
    () => heard,
    (text) => text === 'ab',
  )
  client.socket.write('c')
  await eventually(
    () => heard,
    (text) => text === 'abc',
  )
  proxy.heal()
  await struck
  expect(await eventually(client.ended, (how) => how !== '')).toBe('ECONNRESET')
  expect(client.heard()).toBe('a')
})

it('cuts a connection in the middle of what it says, and nothing after the cut passes', async () => {
  const client = await open()
  const struck = proxy.strike({ kind: 'cut', ms: 60_000, afterBytes: 4, direction: 'up' })
  client.socket.write('bcdefghi')
  client.socket.write('jkl')
  await struck
  await eventually(client.ended, (how) => how !== '')
  expect('abcde'.startsWith(heard)).toBe(true)
})

it('passes everything, in order, on a slow connection', async () => {
  const client = await open()
  const struck = proxy.strike({ kind: 'slow', ms: 60_000, bytesPerSecond: 1_000 })
  const text = Array.from({ length: 100 }, (_, n) => `${n} `).join('')
  for (const word of text.split(/(?<= )/)) client.socket.write(word)
  expect(await eventually(client.heard, (all) => all.length === text.length + 1)).toBe(`a${text}`)
  proxy.heal()
  await struck
})

it('lets through what it does not strike, and counts only what it struck', async () => {
  await proxy.strike({ kind: 'stall', ms: 10, way: 'up' })
  await proxy.strike({ kind: 'cut', ms: 10, afterBytes: 1, direction: 'down' })
  expect(proxy.strikes()).toBe(0)
  const client = await open()
  expect(client.ended()).toBe('')
})
