/** The port for whoever watches the relay. */
import { z } from 'zod'
import { isLoopback } from '../loopback.ts'
import { integer, nonEmpty } from './values.ts'

/** What a header can carry; at 16 characters a random one is beyond guessing. */
const tokenPattern = /^([!-~]{16,})?$/

export const adminSchema = z
  .strictObject({
    host: nonEmpty.default('127.0.0.1').describe('Address to listen on; one that is not loopback needs a token.'),
    port: integer(0, 65_535).default(8081).describe('0 takes a free one.'),
    token: z
      .string()
      .regex(tokenPattern, 'expected at least 16 characters of ASCII, without spaces')
      .transform((text) => (text === '' ? undefined : text))
      .optional()
      .describe('Whoever asks sends it as `Authorization: Bearer …`. An empty one is none.'),
  })
  .refine(({ host, token }) => token !== undefined || host === '::1' || isLoopback(host), {
    path: ['host'],
    error: 'a `token` is required where this is not 127.0.0.1, ::1 or localhost',
  })
