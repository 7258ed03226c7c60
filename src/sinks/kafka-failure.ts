/** What an error of kafkajs means for the deliveries whose records were being sent. */
import { messageOf, type FailureCode } from '../errors.ts'
import type { Failure } from '../types.ts'
import { failed, internalFailure } from './sink.ts'

export interface KafkaFailure extends Failure {
  /** Whose fault it is: another record of the same batch, another topic, or another connection may fare better. */
  blame: 'record' | 'topic' | 'connection'
}

/**
 * @param cause what went wrong before kafkajs called it a failed authentication, if anything did; see kafka-sasl.ts
 */
export function kafkaFailure(error: unknown, topic: string, brokers: readonly string[], cause?: unknown): KafkaFailure {
  const root = rootOf(error)
  const name = root instanceof Error ? root.name : ''
  const at = brokers.join(', ')
  const because = messageOf(root)
  if (name === 'KafkaJSSASLAuthenticationError')
    return isConnectionError(rootOf(cause))
      ? blame('connection', 'unavailable', `Kafka at ${at} went away while authenticating: ${messageOf(cause)}`)
      : blame('connection', 'unauthorized', `Kafka at ${at} refuses the credentials of \`sasl\`: ${because}`)
  if (name === 'KafkaJSRequestTimeoutError') return blame('connection', 'timeout', `Kafka at ${at} does not answer: ${because}`)
  if (isConnectionError(root)) return blame('connection', 'unavailable', `cannot reach Kafka at ${at}: ${because}`)
  const type = protocolType(root)
  if (type === undefined) return { ...internalFailure(root), blame: 'connection' }
  if (tooLarge.has(type))
    return blame('record', 'too_large', `the record is larger than topic "${topic}" takes (max.message.bytes): ${because}`)
  if (type === 'UNKNOWN_TOPIC_OR_PARTITION')
    return blame('topic', 'topic_missing', `topic "${topic}" does not exist at ${at}: create it, the relay creates no topics`)
  if (type === 'TOPIC_AUTHORIZATION_FAILED')
    return blame('topic', 'unauthorized', `not allowed to write to topic "${topic}": grant Write and Describe on it`)
  if (unauthorized.has(type)) return blame('connection', 'unauthorized', `Kafka at ${at} refuses us: ${because}`)
  if (type === 'INVALID_TOPIC_EXCEPTION') return blame('topic', 'rejected', `"${topic}" is no valid topic name: ${because}`)
  if (lasting.has(type)) return blame('record', 'rejected', `Kafka refuses the record for topic "${topic}": ${type}, ${because}`)
  return blame('topic', 'unavailable', `Kafka at ${at} cannot take records for topic "${topic}" now: ${type}, ${because}`)
}

function blame(whose: KafkaFailure['blame'], code: FailureCode, message: string): KafkaFailure {
  return { ...failed(code, message), blame: whose }
}

const tooLarge = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'])

const unauthorized = new Set([
  'CLUSTER_AUTHORIZATION_FAILED',
  'SASL_AUTHENTICATION_FAILED',
  'UNSUPPORTED_SASL_MECHANISM',
  'SECURITY_DISABLED',
])

/**
 * Answers about what a record is; a compacted topic says INVALID_RECORD to a record without a key. Every type that is in no
 * list here is retried: also those that kafkajs does not know, since Kafka has grown errors since it was written.
 */
const lasting = new Set([
  'CORRUPT_MESSAGE',
  'INVALID_RECORD',
  'INVALID_TIMESTAMP',
  'POLICY_VIOLATION',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
])

const connectionErrors = new Set([
  'KafkaJSBrokerNotFound',
  'KafkaJSConnectionClosedError',
  'KafkaJSConnectionError',
  'KafkaJSError', // "The producer is disconnected" and its like: those with a meaning have a class of their own
  'KafkaJSLockTimeout',
  'KafkaJSMetadataNotLoaded',
  'KafkaJSNoBrokerAvailableError',
  'KafkaJSNonRetriableError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSTimeout',
  'KafkaJSTopicMetadataNotLoaded',
])

/** By name: kafkajs exports its classes in a way that ES modules do not see. */
function isConnectionError(error: unknown): boolean {
  return error instanceof Error && connectionErrors.has(error.name)
}

/** kafkajs wraps the error that its last retry ended with, sometimes twice. */
function rootOf(error: unknown): unknown {
  let root = error
  while (root instanceof Error && root.cause instanceof Error && root.cause !== root) root = root.cause
  return root
}

/** Kafka's own name of the error, such as `MESSAGE_TOO_LARGE`. */
function protocolType(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('type' in error)) return undefined
  return typeof error.type === 'string' ? error.type : undefined
}
