/** `webhooks config`: what a job says so that its end comes to this relay. */
import { Option, type Command } from 'commander'
import { loadConfig, type LoadedConfig } from '../../config/load.ts'
import { RelayError } from '../../errors.ts'
import { chooseSource } from '../choose-source.ts'
import { collectField, type Fields } from '../fields.ts'
import { publicUrl, withConfig, type ConfigOption } from '../options.ts'

interface JobConfigOptions extends ConfigOption {
  source?: string
  metadata?: Fields
  uri?: string
  case: 'snake' | 'camel'
}

export function addConfig(webhooks: Command): void {
  withConfig(webhooks.command('config'))
    .description('print, as JSON, the webhook_config of a job whose end comes to this relay')
    .option('-s, --source <source>', 'source that receives; needed when there are several')
    .option('-m, --metadata <k=v>', 'field of user_metadata, which rules can match; repeat for more', collectField)
    .option('--uri <uri>', 'public address of the source; default: that of its declared webhook', publicUrl)
    .addOption(
      new Option('--case <case>', 'spelling of the fields: snake, or camel for batches of the JavaScript SDK')
        .choices(['snake', 'camel'])
        .default('snake'),
    )
    .action(({ config, source: wanted, metadata, uri, case: spelling }: JobConfigOptions) => {
      const loaded = loadConfig({ file: config, env: process.env })
      const { name, source } = chooseSource(loaded, wanted)
      const uris = [uri ?? declaredUri(loaded, name)]
      if (source.dynamic === undefined)
        process.stderr.write(
          `the source ${name} has no \`dynamic\`: it refuses what such a job sends, which Gemini signs with its own keys\n`,
        )
      const fields = metadata === undefined ? {} : { [spelling === 'camel' ? 'userMetadata' : 'user_metadata']: metadata }
      process.stdout.write(`${JSON.stringify({ uris, ...fields })}\n`)
    })
}

/** @throws RelayError `usage` */
function declaredUri({ config }: LoadedConfig, source: string): string {
  const uris = Object.values(config.gemini.webhooks).flatMap((declared) => (declared.source === source ? [declared.uri] : []))
  const [uri] = uris
  if (uri !== undefined && uris.length === 1) return uri
  const problem = uri === undefined ? 'no webhook is declared for' : 'several webhooks are declared for'
  throw new RelayError('usage', `${problem} the source ${source}: say its public address, with --uri`, {
    hint: uri === undefined ? 'or declare one under gemini.webhooks' : uris.join(', '),
  })
}
