/**
 * Ways to make the HTTP sink knock inside, over real sockets. Whatever listens on the loopback address stands for the inside; 3ffe::1
 * stands for a public address: its block is global unicast, was given back in 2006, and nothing is there.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Lookup, ResolvedAddress } from '../../src/sinks/http-address.ts'
import { createHttpSink } from '../../src/sinks/http.ts'
import type { Outcome } from '../../src/types.ts'
import { leasedDelivery } from '../fixtures/deliveries.ts'
import { silent } from '../setup/accepted.ts'
import { sinkConfig, targetsOf } from '../sinks/config.ts'
import { accept, answerWith, startReceiver, type Receiver } from '../sinks/receiver.ts'

const outside: ResolvedAddress = { address: '3ffe::1', family: 6 }
const loopback: ResolvedAddress = { address: '127.0.0.1', family: 4 }
const never = new AbortController().signal

let inside: Receiver
const sinks: { close(): Promise<void> }[] = []

beforeEach(async () => {
  inside = await startReceiver()
})
afterEach(async () => {
  for (const sink of sinks.splice(0)) await sink.close()
  await inside.close()
})

function sinkTo(url: string, { lookup, allow = false }: { lookup?: Lookup; allow?: boolean } = {}) {
  const config = sinkConfig('http', { url, allow_private: allow, timeout: '500ms' })
  const sink = createHttpSink({
    name: 'forward',
    config,
    targets: targetsOf('forward'),
    log: silent,
    ...(lookup ? { lookup } : {}),
  })
  sinks.push(sink)
  return async (): Promise<Outcome | undefined> => (await sink.deliver([leasedDelivery()], never))[0]
}

/** Answers one after the other, the last again and again. */
function resolver(...answers: ResolvedAddress[][]): { lookup: Lookup; asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    lookup: async (host) => {
      asked.push(host)
      return answers[Math.min(asked.length, answers.length) - 1] ?? []
    },
  }
}

/** What became of a connection to an address that was let through and where nothing is. */
const nobodyThere = { code: expect.stringMatching(/^(unavailable|timeout)$/) }

describe('a name that resolves', () => {
  test('to an outside address first and to an inside one when it is connected to again is refused then', async () => {
    const { lookup, asked } = resolver([outside], [loopback])
    const deliver = sinkTo(`http://jobs.example:${inside.port}/`, { lookup })
    expect(await deliver()).toMatchObject(nobodyThere)
    expect(await deliver()).toMatchObject({ code: 'address_refused' })
    expect(asked).toHaveLength(2)
    expect(inside.requests).toEqual([])
  })

  test.each([
    ['outside before inside', [outside, loopback]],
    ['inside before outside', [loopback, outside]],
  ])('to both, %s, is connected to outside only', async (_, addresses) => {
    const deliver = sinkTo(`http://jobs.example:${inside.port}/`, resolver(addresses))
    expect(await deliver()).toMatchObject(nobodyThere)
    expect(inside.requests).toEqual([])
  })

  test.each([
    ['169.254.169.254'],
    ['fd00:ec2::254'],
    ['0.0.0.0'],
    ['::'],
    ['::1'],
    ['fe80::1%lo'],
    ['::ffff:127.0.0.1'],
    ['::ffff:7f00:1'],
    ['0:0:0:0:0:FFFF:7F00:0001'],
    ['::7f00:1'],
    ['64:ff9b::127.0.0.1'],
    ['2002:7f00:1::'],
    ['2001:0:7f00:1::'],
    ['not an address'],
  ])('to %s is refused', async (address) => {
    const deliver = sinkTo(`http://jobs.example:${inside.port}/`, resolver([{ address, family: address.includes(':') ? 6 : 4 }]))
    expect(await deliver()).toMatchObject({ code: 'address_refused' })
    expect(inside.requests).toEqual([])
  })
})

describe('an inside address in the URL', () => {
  test.each([
    ['127.0.0.1'],
    ['127.0.0.1.'],
    ['127.1'],
    ['2130706433'],
    ['017700000001'],
    ['0177.0.0.1'],
    ['0x7f000001'],
    ['0x7f.1'],
    ['127%2e0%2e0%2e1'],
    ['①②⑦.⓪.⓪.①'],
    ['127。0。0。1'],
    ['0'],
    ['0.0.0.0'],
    ['169.254.169.254'],
    ['169.254.169.254.'],
    ['0xa9fea9fe'],
    ['168.63.129.16'],
    ['100.100.100.200'],
    ['[::]'],
    ['[::1]'],
    ['[0:0:0:0:0:0:0:1]'],
    ['[::ffff:127.0.0.1]'],
    ['[::ffff:7f00:1]'],
    ['[::FFFF:7F00:0001]'],
    ['[0:0:0:0:0:ffff:127.0.0.1]'],
    ['[::ffff:a9fe:a9fe]'],
    ['[::127.0.0.1]'],
    ['[::7f00:1]'],
    ['[::ffff:0:127.0.0.1]'],
    ['[64:ff9b::127.0.0.1]'],
    ['[64:ff9b::a9fe:a9fe]'],
    ['[64:ff9b:1::127.0.0.1]'],
    ['[2002:7f00:1::]'],
    ['[2002:a9fe:a9fe::1]'],
    ['[2001:0:7f00:1::]'],
    ['[fd00:ec2::254]'],
    ['[fe80::1]'],
    ['[fec0::1]'],
  ])('written as %s is refused', async (host) => {
    expect(await sinkTo(`http://${host}:${inside.port}/`)()).toMatchObject({ code: 'address_refused' })
    expect(inside.requests).toEqual([])
  })

  test.each([['[fe80::1%25lo]'], ['[::1%25lo]'], ['127.0.0.1%00.example']])('written as %s is no URL', (host) => {
    expect(URL.canParse(`http://${host}/`)).toBe(false)
  })
})

describe('this machine by name', () => {
  test.each([['localhost'], ['LOCALHOST']])('as %s is refused after the system has resolved it', async (host) => {
    expect(await sinkTo(`http://${host}:${inside.port}/`)()).toMatchObject({ code: 'address_refused' })
    expect(inside.requests).toEqual([])
  })

  test.each([['localhost.'], ['metadata.google.internal.'], ['jobs.example.']])(
    'and %s with its full stop is judged too',
    async (host) => {
      const { lookup, asked } = resolver([loopback])
      expect(await sinkTo(`http://${host}:${inside.port}/`, { lookup })()).toMatchObject({ code: 'address_refused' })
      expect(asked).toEqual([host])
    },
  )
})

test.each([301, 302, 303, 307, 308])('a redirect (%d) to an inside address is not followed', async (status) => {
  const moved = await startReceiver()
  moved.respond(answerWith(status, { location: `http://127.0.0.1:${inside.port}/latest/meta-data/` }))
  expect(await sinkTo(`http://127.0.0.1:${moved.port}/`, { allow: true })()).toMatchObject({ code: 'rejected' })
  await moved.close()
  expect(inside.requests).toEqual([])
})

describe('a connection that is kept', () => {
  test('is used without asking again, for it ends where it was judged; the next one is judged anew', async () => {
    const { lookup, asked } = resolver([loopback], [loopback], [outside])
    const deliver = sinkTo(`http://jobs.example:${inside.port}/`, { lookup, allow: true })
    expect([await deliver(), await deliver()]).toEqual([{ status: 'delivered' }, { status: 'delivered' }])
    expect(asked).toHaveLength(1)
    inside.respond((response, request) => {
      response.setHeader('connection', 'close')
      accept(response, request)
    })
    expect(await deliver()).toEqual({ status: 'delivered' })
    expect(await deliver()).toEqual({ status: 'delivered' })
    expect(asked).toHaveLength(2)
    expect(await deliver()).toMatchObject(nobodyThere)
  })

  test('by a sink that may go inside is not used by one that may not', async () => {
    const url = `http://jobs.example:${inside.port}/`
    expect(await sinkTo(url, { ...resolver([loopback]), allow: true })()).toEqual({ status: 'delivered' })
    expect(await sinkTo(url, resolver([loopback]))()).toMatchObject({ code: 'address_refused' })
    expect(inside.requests).toHaveLength(1)
  })
})

describe('a proxy that the environment names', () => {
  const variables = ['HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'NODE_USE_ENV_PROXY'] as const

  test('is not used: it would resolve the name itself, past the guard', async () => {
    const proxy = await startReceiver()
    const before = variables.map((name) => [name, process.env[name]] as const)
    for (const name of variables) process.env[name] = name === 'NODE_USE_ENV_PROXY' ? '1' : `http://127.0.0.1:${proxy.port}`
    try {
      expect(await sinkTo(`http://jobs.example:${inside.port}/`, resolver([loopback]))()).toMatchObject({
        code: 'address_refused',
      })
      const allowed = sinkTo(`http://jobs.example:${inside.port}/`, { ...resolver([loopback]), allow: true })
      expect(await allowed()).toEqual({ status: 'delivered' })
      expect(proxy.requests).toEqual([])
      expect(inside.requests).toHaveLength(1)
    } finally {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name]
        else process.env[name] = value
      }
      await proxy.close()
    }
  })
})
