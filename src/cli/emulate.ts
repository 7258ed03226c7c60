import { InvalidArgumentError, type Command } from 'commander'
import { startEmulator, type Emulator } from '../emulator/emulator.ts'
import { defaultSettings } from '../emulator/settings.ts'
import { createLog } from '../log.ts'
import { portNumber, withJson, withLogLevel, type JsonOption } from './options.ts'
import { nextSignal } from './serve.ts'

interface EmulateOptions extends JsonOption {
  host: string
  port: number
  apiKey?: string
  speed: number
  logLevel: string
}

export function addEmulate(program: Command): void {
  withLogLevel(withJson(program.command('emulate')), 'info')
    .description('play Gemini on this machine: its webhooks, jobs and deliveries, for development and tests')
    .option('--host <host>', 'where to listen', '127.0.0.1')
    .option('--port <port>', 'where to listen; 0 is any that is free', portNumber, 8089)
    .option('--api-key <key>', 'the only key that is accepted; default: any')
    .option('--speed <factor>', 'emulated seconds in a real one', speedFactor, 1)
    .action(async ({ host, port, apiKey, speed, logLevel, json }: EmulateOptions) => {
      const log = createLog({ level: logLevel })
      const stopAsked = nextSignal()
      const emulator = await startEmulator({ host, port, apiKey, speed, log })
      process.stdout.write(json ? `${JSON.stringify(facts(emulator))}\n` : introduction(emulator, apiKey))
      log.info(`${await stopAsked}: stopping`)
      await emulator.stop()
    })
}

function facts({ url, jwksUri }: Emulator): Record<string, string> {
  return { url, jwks_uri: jwksUri, audience: defaultSettings.audience }
}

/** The key that was given is not repeated: it may be one that is used elsewhere too. */
function introduction({ url, jwksUri }: Emulator, apiKey: string | undefined): string {
  return `Gemini is played at ${url}. For the SDK, and for gemini-relay:

  export GOOGLE_GEMINI_BASE_URL=${url}
  export GEMINI_API_KEY=${apiKey === undefined ? 'any-key-will-do' : '<the key that --api-key gave>'}

For a source that takes dynamic webhooks:

  dynamic: { jwks_uri: '${jwksUri}', audience: ${defaultSettings.audience} }

Ctrl-C ends it, and everything in it is gone.
`
}

function speedFactor(text: string): number {
  const value = Number(text)
  if (!/^\d+(\.\d+)?$/.test(text) || value < 0.001 || value > 1_000_000)
    throw new InvalidArgumentError('expected a number from 0.001 to 1000000')
  return value
}
