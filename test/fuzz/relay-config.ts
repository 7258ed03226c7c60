/** The relay that hostile requests are sent to: a source for each way of taking tokens, with keys of every kind. */
import { audience, sources, type Keys } from './keys.ts'

/** @param rules `sinks` and `rules`, in YAML */
export function relayYaml(keys: Keys, bodyLimitBytes: number, rules: string): string {
  const lines = sources.map((source) => {
    const name = source.toUpperCase()
    const dynamic = `{ jwks_uri: "${keys.jwksUri}", audience: ${audience}, algorithms: [RS256, ES256], unbound_jwt: ${source} }`
    return `  ${source}: { path: /webhooks/${source}, static: { secrets: ["\${${name}_1}", "\${${name}_2}"] }, dynamic: ${dynamic} }\n`
  })
  return `
server: { host: 127.0.0.1, port: 0, body_limit: ${bodyLimitBytes / 1_024}kb }
database: { url: "\${DATABASE_URL}" }
sources:
${lines.join('')}${rules}`
}

export function relayEnv({ secrets }: Keys, databaseUrl: string): Record<string, string> {
  const pairs = sources.flatMap((source) =>
    secrets[source].map((secret, n): [string, string] => [
      `${source.toUpperCase()}_${n + 1}`,
      `whsec_${secret.toString('base64')}`,
    ]),
  )
  return { DATABASE_URL: databaseUrl, ...Object.fromEntries(pairs) }
}
