/** Tells a refused password from a connection that broke while the client authenticated. */
import type { Mechanism, SASLOptions } from 'kafkajs'
import type { SinkConfigOf } from '../config/schema.ts'

type Provider = Mechanism['authenticationProvider']

export interface WatchedSasl {
  options: SASLOptions
  /** What last went wrong inside an authentication, as it was before kafkajs replaced it. */
  cause: () => unknown
}

/**
 * kafkajs turns whatever goes wrong while it authenticates, also a broker that goes away, into one error without its cause.
 * A refused password ends a delivery and a broken connection does not, so the exchange is watched: kafkajs puts its own
 * implementation of the mechanism into `authenticationProvider` of the object we pass, and gets it back wrapped.
 */
export function watchSasl({ mechanism, username, password }: NonNullable<SinkConfigOf<'kafka'>['sasl']>): WatchedSasl {
  const options: SASLOptions = { mechanism, username, password }
  let cause: unknown
  let provider: Provider | undefined
  Object.defineProperty(options, 'authenticationProvider', {
    get: () => provider,
    set: (builtIn: Provider) => {
      provider = (args) => {
        cause = undefined
        return builtIn({
          ...args,
          saslAuthenticate: async (exchange) => {
            try {
              return await args.saslAuthenticate(exchange)
            } catch (error) {
              cause = error
              throw error
            }
          },
        })
      }
    },
  })
  return { options, cause: () => cause }
}
