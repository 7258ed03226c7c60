/** What each rule's messages look like. Pure. */
import { jobModeOf, type JobMode } from '../config/job-messages.ts'
import type { SinkConfigOf, TargetConfig } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import { RelayError } from '../errors.ts'
import { compileText, compileTextTree } from '../route/template.ts'
import { byRule, type ByRule } from './by-rule.ts'
import type { Rendering } from './sink.ts'
import { fitBlocks, fitText, maxEditedText } from './slack-limits.ts'

export interface SlackMessage {
  channel: string
  /** Undefined: each event is a message of its own. */
  job: JobMode | undefined
  /** @throws TemplateError */
  render: (delivery: Rendering) => SlackContent
}

export interface SlackContent {
  text: string
  blocks?: unknown[]
  metadata: Record<string, unknown>
}

export function compileMessages(sink: string, config: SinkConfigOf<'slack'>, targets: readonly Target[]): ByRule<SlackMessage> {
  return byRule(targets, ({ rule, target }) => compileMessage(sink, config, rule, target))
}

/** A rule that says its own text and no blocks means that text, not the sink's blocks. */
function compileMessage(sink: string, config: SinkConfigOf<'slack'>, rule: string, target: TargetConfig): SlackMessage {
  const channel = target.channel ?? config.channel
  if (channel === undefined) {
    throw new RelayError('config_invalid', `rule ${rule}: the sink ${sink} has no \`channel\`, so the rule has to name one`)
  }
  const text = compileText(target.text ?? config.text, { escape: 'slack' })
  const blocks = target.blocks ?? (target.text === undefined ? config.blocks : undefined)
  const renderBlocks = blocks && compileTextTree(blocks, { escape: 'slack' })
  const mentioned = (target.mentions ?? config.mentions ?? []).map(mentionOf).join(' ')
  return {
    channel,
    job: jobModeOf(config, target),
    render({ id, stored, resource }) {
      const rendered = renderBlocks?.(stored.event, resource)
      return {
        text: fitText(mentioning(mentioned, text(stored.event, resource))),
        ...(Array.isArray(rendered) && { blocks: [...mentionBlocks(mentioned), ...fitBlocks(rendered)] }),
        // Needs no scope beyond chat:write; read back with conversations.history and `include_all_metadata`.
        metadata: { event_type: 'gemini_relay', event_payload: { delivery: id, webhook_id: stored.event.webhook_id } },
      }
    },
  }
}

/** Slack's spelling of who is mentioned: ids say by their first letter what they are. */
function mentionOf(mention: string): string {
  if (/^[UW]/.test(mention)) return `<@${mention}>`
  return mention.startsWith('S') ? `<!subteam^${mention}>` : `<!${mention}>`
}

/** A text that came out empty stays so, and Slack says that it is. */
function mentioning(mentioned: string, text: string): string {
  return mentioned === '' || text === '' ? text : `${mentioned} ${text}`
}

/** Where there are blocks, Slack shows the text in notifications only, and takes mentions from the blocks. */
function mentionBlocks(mentioned: string): unknown[] {
  return mentioned === '' ? [] : [{ type: 'section', text: { type: 'mrkdwn', text: mentioned } }]
}

/** Arguments of `chat.postMessage`. */
export function postArguments(channel: string, content: SlackContent, threadTs?: string): Record<string, unknown> {
  return { channel, ...content, unfurl_links: false, ...(threadTs !== undefined && { thread_ts: threadTs }) }
}

/**
 * Arguments of `chat.update`. Without `blocks` those that the message had could stay; without `parse` Slack takes the text for
 * something typed, and escapes mentions and links in it, unlike chat.postMessage.
 */
export function editArguments(
  channel: string,
  ts: string,
  { text, blocks = [], metadata }: SlackContent,
): Record<string, unknown> {
  return { channel, ts, text: fitText(text, maxEditedText), blocks, metadata, parse: 'none' }
}
