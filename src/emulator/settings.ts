/** What the emulator does where Gemini leaves a choice, or where its documentation and what was seen differ. */

export interface Settings {
  /** How a dynamic delivery is signed: a JWT is documented, an Ed25519 signature was seen. */
  dynamicScheme: 'jwt' | 'ed25519'
  /** `aud` of the JWT. No field of the API sets it. */
  audience: string
  /** Whether the JWT carries the event among its claims, which is documented nowhere. */
  claims: 'none' | 'event'
  /** Where `user_metadata` goes, which is documented nowhere. `claims` is for JWTs; other deliveries have it in `data`. */
  metadataIn: 'data' | 'envelope' | 'claims'
  /** `data.id` of a batch's event: `batches/123` or `123`, which is documented nowhere. */
  batchIds: 'name' | 'bare'
  /** What becomes of the jobs that are created from now on. */
  batch: JobPlan<BatchEnd>
  interaction: JobPlan<InteractionEnd>
}

export const batchEnds = ['succeeded', 'failed', 'cancelled', 'expired'] as const
export type BatchEnd = (typeof batchEnds)[number]

export const interactionEnds = ['completed', 'failed', 'cancelled', 'requires_action'] as const
export type InteractionEnd = (typeof interactionEnds)[number]

export interface JobPlan<End extends string> {
  end: End
  /** Milliseconds on the emulator's clock; null: until it is ended by a call. */
  durationMs: number | null
}

export const defaultSettings: Settings = {
  dynamicScheme: 'jwt',
  audience: 'gemini-relay-emulator',
  claims: 'none',
  metadataIn: 'data',
  batchIds: 'name',
  batch: { end: 'succeeded', durationMs: 5_000 },
  interaction: { end: 'completed', durationMs: 5_000 },
}
