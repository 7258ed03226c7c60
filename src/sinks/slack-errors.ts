/** What Slack says when it says no, and what the person on call can do about it. */
import type { FailureCode } from '../errors.ts'
import type { Failure } from '../types.ts'
import { rateLimitPauseMs } from './retry-after.ts'
import { failed } from './sink.ts'

interface KnownError {
  code: FailureCode
  /** Completes "Slack says <error>: …". */
  advice: string
}

const token = (advice: string): KnownError => ({ code: 'unauthorized', advice })
const permanent = (advice: string): KnownError => ({ code: 'rejected', advice })
const transient = (advice: string): KnownError => ({ code: 'unavailable', advice })
const limited = (advice: string): KnownError => ({ code: 'rate_limited', advice })

const reinstall = 'reinstall the Slack app and put its new bot token in the sink’s `token`'

/** The message is gone, or will never change again: its job needs another. From the reference of chat.update. */
export const lostToEdits: ReadonlySet<string> = new Set([
  'message_not_found',
  'cant_update_message', // that of another app, say
  'edit_window_closed',
  'block_mismatch', // somebody made rich text of it
])

/**
 * There is no message to answer. The reference of chat.postMessage names the last only; the first two are what apps report.
 * Slack may also post the answer to the channel, without a word: see slack-jobs.ts.
 */
export const lostToAnswers: ReadonlySet<string> = new Set(['thread_not_found', 'message_not_found', 'cannot_reply_to_message'])

/**
 * `error` values of chat.postMessage and chat.update, from their reference pages. One that is not here is permanent: Slack adds errors about
 * what a request says, and repeating it for days would help nobody.
 */
const knownErrors: ReadonlyMap<string, KnownError> = new Map([
  ['not_authed', token('the request carried no token; set the sink’s `token`')],
  ['invalid_auth', token(`the token is wrong, or this address may not use it; ${reinstall}`)],
  ['token_revoked', token(`the token was revoked; ${reinstall}`)],
  ['token_expired', token(`the token has expired; ${reinstall}, or turn token rotation off`)],
  ['account_inactive', token(`the bot or its workspace was deactivated; ${reinstall}`)],
  ['missing_scope', token('give the Slack app the scope chat:write (and reinstall it)')],
  ['not_allowed_token_type', token('use a bot token (xoxb-…)')],
  ['no_permission', token('the app may not do this; make it a member of the channel and check its scopes')],
  ['access_denied', token('the token may not use this resource; check what the app was granted')],
  ['accesslimited', token('the workspace limits API access on this network; ask its administrators')],
  ['team_access_not_granted', token('the app is not granted this workspace; ask the organisation’s administrators')],
  ['two_factor_setup_required', token('the token’s owner has to set up two-factor authentication')],
  ['app_access_restricted', token('the app may not post to this channel; ask the workspace’s administrators')],

  ['channel_not_found', permanent('check the channel id; to a private channel the bot has to be invited (/invite @the-bot)')],
  ['not_in_channel', permanent('invite the bot to the channel (/invite @the-bot), or give it the scope chat:write.public')],
  ['is_archived', permanent('the channel is archived; unarchive it or name another')],
  ['restricted_action', permanent('a workspace preference forbids posting here; ask its administrators')],
  ['restricted_action_read_only_channel', permanent('the channel is read-only')],
  ['restricted_action_thread_only_channel', permanent('the channel takes replies only')],
  ['restricted_action_non_threadable_channel', permanent('the channel takes no replies; leave out the rule’s `thread`')],
  ['is_inactive', permanent('the channel is frozen, archived or deleted; name another')],
  ['messages_tab_disabled', permanent('turn on the messages tab in the app’s settings')],
  ['ekm_access_denied', permanent('the administrators have suspended posting')],
  ['team_not_found', permanent('the workspace is gone')],
  ['msg_too_long', permanent('the text is too long; shorten the rule’s text')],
  ['msg_blocks_too_long', permanent('the blocks are too long together; shorten the rule’s blocks')],
  ['no_text', permanent('the text came out empty; give the rule a text that never is')],
  ['invalid_blocks', permanent('Slack does not take these blocks; try them in its Block Kit Builder')],
  ['invalid_blocks_format', permanent('`blocks` is no list of Block Kit blocks; try them in Slack’s Block Kit Builder')],
  ['too_many_attachments', permanent('the message has too many parts')],
  ['metadata_must_be_sent_from_app', permanent('the token is not that of a Slack app; use an app’s bot token (xoxb-…)')],
  ['invalid_arguments', permanent('Slack does not take this message')],

  ['update_failed', transient('an error on Slack’s side')],
  ['external_channel_migrating', transient('the channel is being moved between workspaces')],
  ['internal_error', transient('an error on Slack’s side')],
  ['fatal_error', transient('an error on Slack’s side')],
  ['service_unavailable', transient('Slack is not available')],
  ['request_timeout', transient('Slack did not receive the whole request')],
  ['team_added_to_org', transient('the workspace is being moved into an organisation')],
  ['org_login_required', transient('the workspace is being moved into an organisation')],

  ['ratelimited', limited('too many requests')],
  ['rate_limited', limited('too many messages')],
  ['message_limit_exceeded', limited('the workspace sends too many messages')],
])

export interface PlatformError {
  /** The `error` of the answer. */
  error: string
  channel: string | undefined
  /** What the answer adds: pointers into the blocks, a missing scope. */
  details: readonly string[]
}

/** The failure that an answer with `ok: false` means. */
export function slackFailure({ error, channel, details }: PlatformError): Failure {
  const known = knownErrors.get(error) ?? permanent('see the errors of chat.postMessage and chat.update in Slack’s reference')
  const more = details.length === 0 ? '' : ` (${details.join('; ')})`
  const message = `Slack says ${error}${forChannel(channel)}: ${known.advice}${more}`
  if (known.code === 'rate_limited') return failed('rate_limited', message, rateLimitPauseMs(undefined, 0))
  return failed(known.code, message)
}

/** ` for channel …`, or nothing. */
export function forChannel(channel: string | undefined): string {
  return channel === undefined ? '' : ` for channel ${channel}`
}
