/** Interactions: what they are asked for, how they end, what their end says. */
import { usualError } from './batches.ts'
import type { EmulatedClock } from './clock.ts'
import { createJobs, type Job, type Jobs } from './jobs.ts'
import type { Sender } from './sender.ts'
import type { InteractionEnd } from './settings.ts'

export interface InteractionDetails {
  /** Exactly one of the two. */
  model: string | undefined
  agent: string | undefined
  /** Its end is announced; one in the foreground ends in the answer. */
  isBackground: boolean
}

export type Interaction = Job<InteractionDetails, InteractionEnd>
export type Interactions = Jobs<InteractionDetails, InteractionEnd>

export function createInteractions({ clock, sender }: { clock: EmulatedClock; sender: Sender }): Interactions {
  return createJobs({
    noun: 'Interaction',
    clock,
    ended({ id, webhookConfig, details }, how, at, error = usualError) {
      if (!details.isBackground) return
      const { uris, userMetadata } = webhookConfig
      const failure = how === 'failed' ? { error_code: error.code, error_message: error.message } : {}
      sender.emit({ type: `interaction.${how}`, at, data: { id, ...failure }, userMetadata }, uris)
    },
  })
}
