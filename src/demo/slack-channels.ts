/** What is said in the channels of the local Slack: messages, their threads and their edits. */
import { isMap } from '../json-map.ts'

export interface SlackChannelsOptions {
  /** Channels that exist; by default every one. */
  channels?: readonly string[]
  /** Refuse a message that comes less than so many milliseconds after the channel's last, as Slack does at about 1,000. */
  messageEveryMs?: number
  /** How long a message can be edited, by a setting of the workspace; by default always. */
  editWindowMs?: number
  /**
   * What becomes of an answer to a message that is gone. Slack's reference does not say; apps have seen it refused
   * (`thread_not_found`, the default here), and posted to the channel.
   */
  lostThreads?: 'refuse' | 'post'
  /** Milliseconds since the epoch. */
  now?: () => number
}

export interface SlackMessage {
  channel: string
  text: string
  blocks: unknown[]
  metadata: unknown
  /** When it was received, milliseconds since the epoch. */
  at: number
  /** Slack's id of the message within its channel. */
  ts: string
  /** Of an answer: the message that its thread is about. */
  threadTs?: string
  /** What it said before it was edited, oldest first. */
  earlier: SlackContent[]
}

type SlackContent = Pick<SlackMessage, 'text' | 'blocks' | 'metadata'>

export type Arguments = Readonly<Record<string, unknown>>

export type Answer = { json: Record<string, unknown>; limitedFor?: undefined } | { limitedFor: number /* seconds */ }

export interface SlackChannels {
  post(token: string, input: Arguments): Answer
  update(token: string, input: Arguments): Answer
  messages(): SlackMessage[]
  remove(message: Pick<SlackMessage, 'channel' | 'ts'>): void
}

/** Documented: longer texts are truncated; here they are refused, so that nobody relies on that. */
const maxText = 40_000
/** Not documented; apps report `msg_too_long` beyond it. */
const maxEditedText = 4_000
const maxBlocks = 50
const maxSectionText = 3_000

export function createSlackChannels(options: SlackChannelsOptions): SlackChannels {
  const { channels, messageEveryMs = 0, editWindowMs = Infinity, lostThreads = 'refuse', now = Date.now } = options
  const said: { token: string; message: SlackMessage }[] = []
  const lastPost = new Map<string, number>()
  let posted = 0

  function find(channel: unknown, ts: unknown) {
    return said.find(({ message }) => message.channel === channel && message.ts === ts)
  }

  function post(token: string, input: Arguments): Answer {
    const { channel: named, thread_ts: wanted } = input
    if (typeof named !== 'string' || (channels !== undefined && !channels.includes(named))) return no('channel_not_found')
    const content = contentOf(input, maxText)
    if ('json' in content) return content
    // A message to a user is in the channel of the two.
    const channel = named.replace(/^U/, 'D')
    const root = wanted === undefined ? undefined : find(channel, wanted)?.message
    if (wanted !== undefined && root === undefined && lostThreads === 'refuse') return no('thread_not_found')
    const at = now()
    const waitMs = (lastPost.get(channel) ?? Number.NEGATIVE_INFINITY) + messageEveryMs - at
    if (waitMs > 0) return { limitedFor: Math.ceil(waitMs / 1_000) }
    lastPost.set(channel, at)
    const ts = `${Math.floor(at / 1_000)}.${String(++posted).padStart(6, '0')}`
    const threadTs = root === undefined ? undefined : (root.threadTs ?? root.ts)
    said.push({ token, message: { channel, ...content, at, ts, ...(threadTs !== undefined && { threadTs }), earlier: [] } })
    const thread = threadTs === undefined ? {} : { thread_ts: threadTs }
    const { text, blocks } = content
    return { json: { ok: true, channel, ts, message: { type: 'message', bot_id: 'B0000000001', text, blocks, ts, ...thread } } }
  }

  function update(token: string, input: Arguments): Answer {
    const { channel, ts } = input
    // Documented: for a direct message its own id (D…), and not that of the user.
    const isPlace = typeof channel === 'string' && !channel.startsWith('U')
    if (!isPlace || (channels !== undefined && !channels.some((known) => known.replace(/^U/, 'D') === channel)))
      return no('channel_not_found')
    const found = find(channel, ts)
    if (found === undefined) return no('message_not_found')
    const { message } = found
    if (found.token !== token) return no('cant_update_message')
    if (now() - message.at > editWindowMs) return no('edit_window_closed')
    const { text, blocks, metadata } = message
    // Documented: what is left out stays as it was, but for blocks where there is a text.
    const keeps = input.text === undefined ? { text, blocks, metadata } : { metadata }
    const content = contentOf({ ...keeps, ...input }, maxEditedText)
    if ('json' in content) return content
    message.earlier.push({ text, blocks, metadata })
    // Seen: without `parse` a text is taken for something typed, and its mentions and links are no such thing any more.
    const typed = input.parse === 'none' || input.text === undefined ? content.text : escape(content.text)
    Object.assign(message, content, { text: typed })
    return { json: { ok: true, channel, ts, text: typed, message: { type: 'message', text: typed, blocks: content.blocks } } }
  }

  return {
    post,
    update,
    messages: () => said.map(({ message }) => ({ ...message, earlier: [...message.earlier] })),
    remove({ channel, ts }) {
      const index = said.findIndex(({ message }) => message.channel === channel && message.ts === ts)
      if (index === -1) throw new Error(`there is no message ${ts} in ${channel}`)
      said.splice(index, 1)
    },
  }
}

export function no(error: string, more: Arguments = {}): Answer & { json: unknown } {
  return { json: { ok: false, error, ...more } }
}

/** What a message is to say, or why Slack does not take it. */
function contentOf(input: Arguments, max: number): SlackContent | ReturnType<typeof no> {
  const { text = '', blocks = [], metadata } = input
  if (typeof text !== 'string') return no('invalid_arguments')
  if (!Array.isArray(blocks)) return no('invalid_blocks_format')
  if (text === '' && blocks.length === 0) return no('no_text')
  if (text.length > max) return no('msg_too_long')
  const complaint = complaintAbout(blocks)
  if (complaint === undefined) return { text, blocks, metadata }
  return no('invalid_blocks', { errors: [complaint], response_metadata: { messages: [`[ERROR] ${complaint}`] } })
}

function escape(text: string): string {
  return text.replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** Why Slack would not take these blocks, where it is about their size. */
function complaintAbout(blocks: readonly unknown[]): string | undefined {
  if (blocks.length > maxBlocks) return `no more than ${maxBlocks} items allowed [json-pointer:/blocks]`
  for (const [index, block] of blocks.entries()) {
    if (!isMap(block) || typeof block.type !== 'string') return `missing required field: type [json-pointer:/blocks/${index}]`
    if (block.type !== 'section' || !isMap(block.text) || typeof block.text.text !== 'string') continue
    if (block.text.text.length > maxSectionText) {
      return `must be less than ${maxSectionText + 1} characters [json-pointer:/blocks/${index}/text/text]`
    }
  }
  return undefined
}
