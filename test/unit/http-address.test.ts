import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { AddressRefused, guardedLookup, refuseLiteral, socketLookup, type Lookup } from '../../src/sinks/http-address.ts'
import { refusalOf } from '../../src/public-address.ts'

describe('an address is refused', () => {
  test.each([
    ['127.0.0.1', 'in the loopback range'],
    ['127.255.255.254', 'in the loopback range'],
    ['10.0.0.1', 'in the private range'],
    ['172.16.0.1', 'in the private range'],
    ['172.31.255.255', 'in the private range'],
    ['192.168.1.1', 'in the private range'],
    ['169.254.169.254', 'in the link local range'],
    ['100.64.0.1', 'in the carrier grade nat range'],
    ['100.100.100.200', 'in the carrier grade nat range'],
    ['0.0.0.0', 'in the unspecified range'],
    ['0.1.2.3', 'in the unspecified range'],
    ['224.0.0.1', 'in the multicast range'],
    ['240.0.0.1', 'in the reserved range'],
    ['255.255.255.255', 'in the broadcast range'],
    ['192.0.0.192', 'in the reserved range'],
    ['198.18.0.1', 'in the reserved range'],
    ['203.0.113.7', 'in the reserved range'],
    ['168.63.129.16', 'a cloud metadata address'],
    ['::', 'in the unspecified range'],
    ['::1', 'in the loopback range'],
    ['fe80::1', 'in the link local range'],
    ['fe80::1%lo', 'in the link local range'],
    ['fc00::1', 'in the unique local range'],
    ['fd00:ec2::254', 'in the unique local range'],
    ['ff02::1', 'in the multicast range'],
    ['fec0::1', 'in the deprecated site local range'],
    ['2001:db8::1', 'in the reserved range'],
    ['2001::1', 'in the teredo range'],
    ['2002:7f00:1::', 'in the 6to4 range'],
    ['2002:808:808::', 'in the 6to4 range'],
    ['::ffff:127.0.0.1', 'in the loopback range (127.0.0.1)'],
    ['::ffff:a9fe:a9fe', 'in the link local range (169.254.169.254)'],
    ['::ffff:168.63.129.16', 'a cloud metadata address (168.63.129.16)'],
    ['64:ff9b::7f00:1', 'in the loopback range (127.0.0.1)'],
    ['64:ff9b::10.1.2.3', 'in the private range (10.1.2.3)'],
    ['64:ff9b:1::7f00:1', 'in the rfc6052 range'],
    ['::ffff:0:127.0.0.1', 'in the rfc6145 range'],
    ['::7f00:1', 'outside the global unicast space'],
    ['4000::1', 'outside the global unicast space'],
    ['100::1', 'in the discard range'],
    ['localhost', 'not an IP address'],
    ['2130706433', 'not an IP address'],
    ['', 'not an IP address'],
  ])('%s: %s', (address, why) => {
    expect(refusalOf(address)).toBe(why)
  })
})

describe('an address is let through', () => {
  test.each([
    ['8.8.8.8'],
    ['172.15.255.255'],
    ['172.32.0.1'],
    ['2606:4700::1111'],
    ['2a00:1450:4001::1'],
    ['::ffff:8.8.8.8'],
    ['64:ff9b::808:808'],
  ])('%s', (address) => {
    expect(refusalOf(address)).toBeUndefined()
  })
})

describe('the guarded look-up', () => {
  const all = promisify((lookup: Lookup, callback: (error: Error | null, addresses?: unknown) => void) =>
    guardedLookup(lookup)('jobs.example', { all: true }, callback),
  )

  test('hands over every address that is public', async () => {
    expect(await all(lookupOf('8.8.8.8', '2606:4700::1111'))).toEqual([
      { address: '8.8.8.8', family: 4 },
      { address: '2606:4700::1111', family: 6 },
    ])
  })

  test('leaves out those that are not', async () => {
    expect(await all(lookupOf('10.0.0.1', '8.8.8.8'))).toEqual([{ address: '8.8.8.8', family: 4 }])
  })

  test('refuses a host that has no other, naming host, address and option', async () => {
    const refused = all(lookupOf('10.0.0.1', '127.0.0.1'))
    await expect(refused).rejects.toBeInstanceOf(AddressRefused)
    await expect(refused).rejects.toThrow(
      'jobs.example resolves to 10.0.0.1, which is in the private range; set allow_private: true on the sink if it is meant',
    )
  })

  test('judges each look-up anew, so that a name cannot change behind its back', async () => {
    const answers = ['8.8.8.8', '127.0.0.1']
    const rebinding: Lookup = async () => [{ address: answers.shift() ?? '', family: 4 }]
    expect(await all(rebinding)).toEqual([{ address: '8.8.8.8', family: 4 }])
    await expect(all(rebinding)).rejects.toBeInstanceOf(AddressRefused)
  })

  test('passes on the failure of the resolver, and of a host without addresses', async () => {
    await expect(all(() => Promise.reject(new Error('queryA ESERVFAIL')))).rejects.toThrow('queryA ESERVFAIL')
    await expect(all(lookupOf())).rejects.toMatchObject({ code: 'ENOTFOUND' })
  })

  test('answers with one address where one is asked for', async () => {
    const one = await new Promise((resolve) => {
      socketLookup(lookupOf('8.8.8.8', '1.1.1.1'))('jobs.example', {}, (error, address, family) =>
        resolve({ error, address, family }),
      )
    })
    expect(one).toEqual({ error: null, address: '8.8.8.8', family: 4 })
  })
})

describe('a literal address in the URL', () => {
  test('is refused without a look-up', () => {
    expect(() => refuseLiteral('127.0.0.1')).toThrow('127.0.0.1 is in the loopback range; set allow_private: true')
    expect(() => refuseLiteral('::1')).toThrow(AddressRefused)
  })

  test('passes when public, and a name is left to the look-up', () => {
    expect(() => refuseLiteral('8.8.8.8')).not.toThrow()
    expect(() => refuseLiteral('localhost')).not.toThrow()
  })
})

function lookupOf(...addresses: string[]): Lookup {
  return async () => addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
}
