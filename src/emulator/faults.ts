/** What goes wrong on request. */

export const deliveryFaults = ['duplicate', 'reorder', 'delay', 'bad_signature', 'stale', 'lost'] as const
export const apiFaults = ['api_error', 'api_lost', 'api_slow'] as const

export type DeliveryFault = (typeof deliveryFaults)[number]
export type ApiFault = (typeof apiFaults)[number]
export type FaultKind = DeliveryFault | ApiFault

export interface Fault {
  kind: FaultKind
  /** How many deliveries, attempts or calls it still befalls. */
  times: number
  /** Only events of this type. */
  type?: string | undefined
  /** Only calls whose path contains this. */
  path?: string | undefined
  /** Milliseconds: `delay` on the emulator's clock, `stale` and `api_slow` on the real one. */
  ms?: number | undefined
  /** Of an `api_error` or `api_lost`. */
  status?: number | undefined
}

export interface Faults {
  add: (fault: Fault) => void
  list: () => Fault[]
  clear: () => void
  /** The first of these kinds that befalls an event of this type; it is used up by one. */
  forDelivery: (kinds: readonly DeliveryFault[], type: string) => Fault | undefined
  /** Likewise for a call. */
  forCall: (path: string) => Fault | undefined
}

/** More than this are waiting because of a mistake. */
const maxFaults = 1_000

export function createFaults(): Faults {
  let waiting: Fault[] = []

  function take(applies: (fault: Fault) => boolean): Fault | undefined {
    const found = waiting.find(applies)
    if (found === undefined) return undefined
    found.times -= 1
    waiting = waiting.filter(({ times }) => times > 0)
    return found
  }

  return {
    add(fault) {
      waiting = [...waiting, { ...fault }].slice(-maxFaults)
    },
    list: () => waiting.map((fault) => ({ ...fault })),
    clear() {
      waiting = []
    },
    forDelivery: (kinds, type) =>
      take((fault) => kinds.some((kind) => kind === fault.kind) && (fault.type === undefined || fault.type === type)),
    forCall: (path) =>
      take((fault) => apiFaults.some((kind) => kind === fault.kind) && (fault.path === undefined || path.includes(fault.path))),
  }
}
