import { describe, expect, it } from 'vitest'
import { drawSchedule, edgeNames, faultKinds } from '../chaos/faults.ts'
import { brokenHow } from '../chaos/reload-faults.ts'

describe('the schedule of a chaos run', () => {
  it('is the same for the same seed and length', () => {
    expect(drawSchedule(7, 60)).toEqual(drawSchedule(7, 60))
  })

  it('is another for another seed', () => {
    expect(drawSchedule(7, 60)).not.toEqual(drawSchedule(8, 60))
  })

  it('has every way to end a process within a minute, and a pause beyond a lease', () => {
    const kinds = drawSchedule(1, 60).map(({ fault }) => fault.kind)
    expect(kinds).toEqual(
      expect.arrayContaining([
        'kill relay',
        'stop relay',
        'kill postgres',
        'stop postgres',
        'kill backend',
        'upgrade relay',
        'sink',
      ]),
    )
    const pauses = drawSchedule(1, 60).filter(({ fault }) => {
      return (
        fault.kind === 'freeze relay' || (fault.kind === 'connection' && fault.fault.kind === 'stall' && fault.fault.ms > 30_000)
      )
    })
    expect(pauses).toHaveLength(1)
  })

  it('strikes every edge in every way in ten minutes, and ends processes ten times and more', () => {
    const faults = drawSchedule(1, 600).map(({ fault }) => fault)
    const connections = faults.filter((fault) => fault.kind === 'connection')
    expect(new Set(connections.map(({ edge }) => edge))).toEqual(new Set(edgeNames))
    expect(new Set(connections.map(({ fault }) => fault.kind)).size).toBe(5)
    expect(connections.length).toBeGreaterThan(34)
    expect(faults.filter(({ kind }) => /^(kill|stop)/.test(kind)).length).toBeGreaterThan(10)
    expect(new Set(faults.map(({ kind }) => kind))).toEqual(new Set(faultKinds))
  })

  it('changes configurations in every way within a minute, some of them beside another fault', () => {
    const schedule = drawSchedule(1, 60)
    const reloads = schedule.flatMap(({ fault }) => (fault.kind === 'reload' ? fault : []))
    expect(new Set(reloads.map(({ what }) => what))).toEqual(
      new Set(['sink anew', 'rule text', 'rule appears', 'rule gone', 'sink gone', ...brokenHow]),
    )
    expect(new Set(reloads.map(({ relays }) => relays.join()))).toEqual(new Set(['a', 'b', 'a,b']))
    expect(new Set(reloads.map(({ by }) => by))).toEqual(new Set(['signal', 'written', 'replaced']))
    const deaths = schedule.filter(({ fault: { kind } }) => /^(kill|stop)/.test(kind)).map(({ atMs }) => atMs)
    const near = schedule.filter(
      ({ atMs, fault }) => fault.kind === 'reload' && deaths.some((death) => Math.abs(death - atMs) <= 1_500),
    )
    expect(near.length).toBeGreaterThan(0)
  })

  it('draws only what it is asked for, at the same times', () => {
    const all = drawSchedule(3, 60)
    expect(drawSchedule(3, 60, ['sink'])).toEqual(all.filter(({ fault }) => fault.kind === 'sink'))
  })
})
