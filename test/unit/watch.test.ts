/** A change that somebody reads already is not asked for a second time. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { stampOf, type Stamps } from '../../src/config/stamp.ts'
import { watchConfig, type ConfigWatch } from '../../src/config/watch.ts'

const everyMs = 10

let dir: string
let file: string
let looked: Stamps
let isReading: boolean
let asked: number
let watch: ConfigWatch

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'gemini-relay-watch-'))
  file = join(dir, 'relay.yaml')
  writeFileSync(file, 'one')
  looked = stamped()
  isReading = false
  asked = 0
  watch = watchConfig({ looked: () => looked, reading: () => isReading, changed, everyMs })
  await looks()
})
afterEach(() => {
  watch.stop()
  rmSync(dir, { recursive: true })
})

const stamped = (): Stamps => new Map([[file, stampOf(file)]])
const looks = () => sleep(everyMs * 10)

async function changed(): Promise<void> {
  asked++
  looked = stamped()
}

it('asks once for a change', async () => {
  writeFileSync(file, 'three')
  await looks()
  expect(asked).toBe(1)
})

it('asks for nothing that was read for another reason, however long that took', async () => {
  writeFileSync(file, 'three')
  const read = stamped()
  isReading = true
  await looks()
  looked = read
  isReading = false
  await looks()
  expect(asked).toBe(0)
})

it('asks for what changed while it was read', async () => {
  const read = stamped()
  isReading = true
  writeFileSync(file, 'three')
  await looks()
  looked = read
  isReading = false
  await looks()
  expect(asked).toBe(1)
})
