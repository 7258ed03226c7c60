/** What each rule's messages look like. Pure. */
import type { SinkConfigOf, TargetConfig } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import { RelayError } from '../errors.ts'
import { compileText, compileTextTree } from '../route/template.ts'
import type { Rendering } from './sink.ts'
import { fitBlocks, fitText } from './slack-limits.ts'

export interface SlackMessage {
  channel: string
  /**
   * Arguments of `chat.postMessage`.
   *
   * @throws TemplateError
   */
  render: (delivery: Rendering) => Record<string, unknown>
}

/** @throws RelayError `config_invalid` for a rule without a channel */
export function compileMessages(
  sink: string,
  config: SinkConfigOf<'slack'>,
  targets: readonly Target[],
): Map<string, SlackMessage> {
  return new Map(targets.map(({ rule, target }) => [rule, compileMessage(sink, config, rule, target)]))
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
  return {
    channel,
    render({ id, stored, resource }) {
      const rendered = renderBlocks?.(stored.event, resource)
      return {
        channel,
        text: fitText(text(stored.event, resource)),
        ...(Array.isArray(rendered) && { blocks: fitBlocks(rendered) }),
        unfurl_links: false,
        // Needs no scope beyond chat:write; read back with conversations.history and `include_all_metadata`.
        metadata: { event_type: 'gemini_relay', event_payload: { delivery: id, webhook_id: stored.event.webhook_id } },
      }
    },
  }
}
