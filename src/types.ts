/** The vocabulary: what travels from receive to deliver. */
import type { FailureCode } from './errors.ts'

/** How a request was signed: Standard Webhooks v1, v1a, or a bare JWT. */
export type SigningScheme = 'hmac' | 'ed25519' | 'jwt'

/** How an event came: in a signed request, or made by the reconciler because none came. */
export type Scheme = SigningScheme | 'reconciled'

/** Milliseconds since the epoch; injectable wherever time decides something. */
export type Clock = () => number

/** What came over the wire, before anybody believes it. Header values are as Node gives them; `undefined` when absent. */
export interface UnverifiedRequest {
  source: string
  /** Node's `rawHeaders`-derived values: every value of each `webhook-*` header, so that a doubled one is seen. */
  webhookId: readonly string[]
  webhookTimestamp: readonly string[]
  webhookSignature: readonly string[]
  body: Buffer
  receivedAt: Date
}

/** What is stored as an event, and what its storing needs to know. */
export interface Arrival {
  source: string
  webhookId: string
  scheme: Scheme
  receivedAt: Date
  /** The bytes that are stored and forwarded: the body, or the JWT's envelope where there was no body. */
  body: Buffer
  /** The parsed `body`, or undefined when it is not JSON. */
  json: unknown
  /** `user_metadata` found in the claims of a JWT, for lack of a place in the body. */
  claimsMetadata?: Record<string, unknown>
  /** Present for `jwt`: what the accept transaction binds, so that a token works once. */
  token?: TokenUse
}

declare const verified: unique symbol

/** A request whose signature holds. `verify/` is its only maker. */
export interface VerifiedRequest extends Arrival {
  readonly [verified]: true
  scheme: SigningScheme
}

export interface TokenUse {
  /** SHA-256 of the signing input (`header.payload`). */
  digest: Buffer
  /** SHA-256 of the body. */
  bodyDigest: Buffer
  /** `once`: refuse the token for another webhook-id; `accept`: let it pass. */
  reuse: 'once' | 'accept'
  /** From `exp`, with leeway: after it the token fails verification by itself. Null: it never does. */
  expiresAt: Date | null
}

/** A stored event, as patterns, CEL and Liquid see it. Names are the public contract. */
export interface RelayEvent {
  type: string
  version: string | null
  /** As the envelope has it. */
  timestamp: string | null
  data: unknown
  subject: string
  source: string
  webhook_id: string
  scheme: Scheme
  user_metadata: Record<string, unknown>
  /** ISO 8601, UTC. */
  received_at: string
}

/**
 * The job that an event is about, as the Gemini API shows it: `event.resource` of texts, keys and columns. Names are the public
 * contract; what the API does not say is null, 0 or empty.
 */
export type JobResource = BatchResource | InteractionResource

export interface BatchResource {
  kind: 'batch'
  /** `batches/…`. */
  name: string | null
  /** In lower case, without its prefix: `succeeded`. */
  state: string | null
  display_name: string | null
  model: string | null
  counts: { total: number; succeeded: number; failed: number; pending: number }
  output_files: string[]
  create_time: string | null
  end_time: string | null
  error: JobError | null
}

export interface InteractionResource {
  kind: 'interaction'
  id: string | null
  state: string | null
  model: string | null
  agent: string | null
  /** The text of its outputs, cut. */
  summary: string
  /** Content blocks, without the data of media. */
  outputs: Record<string, unknown>[]
  create_time: string | null
  update_time: string | null
  error: JobError | null
}

export interface JobError {
  code: string | number | null
  message: string | null
}

/** A {@link RelayEvent} with what the store knows of it. */
export interface StoredEvent {
  /** The event's number: grows with acceptance. `relay_event_seq` of a sync table. A bigint's decimal digits. */
  id: string
  event: RelayEvent
  /** The envelope's timestamp where it is one, else the receipt. `relay_event_time` of a sync table. */
  time: Date
  /** As received, byte for byte. */
  body: Buffer
}

/** The right to attempt a delivery, held by this process. */
export interface Lease {
  /** Fencing number, a bigint's decimal digits: an outcome is written only while its lease stands. */
  id: string
  /** On this process's monotonic clock (`performance.now()`), margin taken off: no attempt goes beyond it. Renewals move it. */
  until: number
}

/** One event owed to one sink by one rule, leased to this process. */
export interface LeasedDelivery {
  /** A bigint's decimal digits. */
  id: string
  rule: string
  sink: string
  replay: number
  stored: StoredEvent
  /** Attempts made before this one. */
  attempts: number
  lease: Lease
  /** Of a delivery that is enriched: the job it is about; null where there is none. */
  resource?: JobResource | null
  /** Of a delivery that has no row of its own yet. */
  group?: DeliveryGroup
}

/** Deliveries of one rule and sink that are kept as one row until something happens to them. */
export interface DeliveryGroup {
  createdAt: Date
  expiresAt: Date
  takeovers: number
}

/** How one attempt at one delivery ended. */
export type Outcome =
  | { status: 'delivered' }
  /** Delivered, and the sink itself committed that (the table sink in the relay's own database). */
  | { status: 'recorded' }
  /** The lease belongs to somebody else: nothing was changed. */
  | { status: 'lost' }
  | Failure

export interface Failure {
  status: 'failed'
  code: FailureCode
  /** For the person on call: what happened and what to do. Holds no secret. */
  message: string
  /** What the sink asked for, if it did. */
  retryAfterMs?: number
}
