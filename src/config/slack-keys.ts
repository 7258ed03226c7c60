/** What only Slack sinks and the rules that feed them say. */
import { z } from 'zod'

export const slackChannel = z
  .string()
  .regex(/^[CGDU][A-Z0-9]{2,}$/, 'expected a channel id such as C0123456789 (not a #name: look-ups by name hit rate limits)')

/** `none` is for rules, whose sink may say `subject`; on a sink it says what is so anyway. */
export const slackPerJob = z.enum(['subject', 'none'])

/** No id of Slack's is shorter. What looks like a name (`SUPPORT`) would be shown as text, and notify nobody. */
const mention = z
  .string()
  .regex(
    /^([UWS][A-Z0-9]{8,}|here|channel|everyone)$/,
    'expected the id of a user (U0123456789) or user group (S0123456789), or here, channel or everyone; not a @name',
  )

/** So many that their block stays far below 3,000 characters. */
const maxMentions = 50

export const slackMentions = z.array(mention).max(maxMentions, `at most ${maxMentions}`)
