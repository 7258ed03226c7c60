/** The files of the two relays, which change while they run. */
import { createHash } from 'node:crypto'
import { renameSync, writeFileSync } from 'node:fs'
import type { ConfigHistory } from './config-history.ts'
import { brokenYaml, changed, firstVariant, relayYaml, type Surroundings, type Variant } from './config.ts'
import { relayNames, type RelayName } from './faults.ts'
import { isBroken, type ReloadFault } from './reload-faults.ts'
import type { ChaosRelay } from './relay.ts'

export interface Configurations {
  fileOf(relay: RelayName): string
  /** @returns undefined where each relay that is meant has one on the way already */
  reload(fault: ReloadFault, wait: (ms: number) => Promise<unknown>): Promise<void> | undefined
  /** The last one, which knows every rule and sink, for both. */
  finish(): void
}

export interface ConfigurationsOptions {
  dir: string
  surroundings: Surroundings
  relay: (name: RelayName) => ChaosRelay | undefined
  history: ConfigHistory
}

interface Text {
  /** Undefined: it is broken. */
  variant: Variant | undefined
  text: string
  number: number
}

type Given = Text & { variant: Variant }

export function createConfigurations({ dir, surroundings, relay, history }: ConfigurationsOptions): Configurations {
  let number = 0
  const busy = new Set<RelayName>()
  const fileOf = (name: RelayName): string => `${dir}/relay-${name}.yaml`

  function composed(variant: Variant): Given {
    number += 1
    return { variant, text: relayYaml(surroundings, variant, number), number }
  }

  function write(
    name: RelayName,
    { variant, text, number: ofText }: Text,
    what: string,
    by: ReloadFault['by'],
    at = Date.now(),
  ): void {
    // Noted first: a relay may have read it before the next line here.
    history.wrote({ at, relay: name, number: ofText, hash: hashOf(text), variant, what })
    const file = fileOf(name)
    writeFileSync(by === 'replaced' ? `${file}.new` : file, text)
    if (by === 'replaced') renameSync(`${file}.new`, file)
    if (by === 'signal') relay(name)?.reload()
  }

  function give(name: RelayName, variant: Variant, what: string, by: ReloadFault['by']): void {
    given[name] = composed(variant)
    write(name, given[name], what, by)
  }

  const first = composed(firstVariant)
  const given: Record<RelayName, Given> = { a: first, b: first }
  for (const name of relayNames) write(name, first, 'the first', 'written', -Infinity)

  /** @returns undoes what only passes, undefined where it stays */
  function begin(name: RelayName, fault: ReloadFault): (() => void) | undefined {
    const { by, what } = fault
    const { variant, text } = given[name]
    if (isBroken(fault)) {
      number += 1
      const broken = `${brokenYaml(text, fault.what, surroundings)}# broken ${number}\n`
      write(name, { variant: undefined, text: broken, number }, what, by)
      return () => write(name, given[name], `${what}, mended`, by)
    }
    give(name, changed(variant, fault), what, by)
    const passes = what === 'rule appears' || what === 'rule gone' || what === 'sink gone'
    return passes ? () => give(name, variant, `${what}, no more`, by) : undefined
  }

  return {
    fileOf,
    reload(fault, wait) {
      const free = fault.relays.filter((name) => !busy.has(name))
      if (free.length === 0) return undefined
      const undo = free.map((name) => begin(name, fault))
      for (const name of free) busy.add(name)
      return wait(fault.ms).then(() => {
        for (const one of undo) one?.()
        for (const name of free) busy.delete(name)
      })
    },
    finish() {
      const last = composed(firstVariant)
      for (const name of relayNames) write(name, last, 'the last', 'signal')
    },
  }
}

/** What `/readyz` says of a configuration of one file. */
function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}
