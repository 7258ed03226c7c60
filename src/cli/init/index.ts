/** `gemini-relay init`: a first configuration; with `--gemini` also the webhook, and its ping as the proof. */
import type { Command } from 'commander'
import { loadConfig } from '../../config/load.ts'
import { geminiAccess } from '../../gemini/access.ts'
import { portNumber, publicUrl, withConfig, type ConfigOption } from '../options.ts'
import { nextSignal } from '../serve.ts'
import { quickStart } from './quick-start.ts'
import { readExisting, writeConfig } from './write-config.ts'

interface InitOptions extends ConfigOption {
  gemini?: string
  port: number
}

const tell = (line: string): void => void process.stdout.write(`${line}\n`)

export function addInit(program: Command): void {
  withConfig(program.command('init'))
    .description('write a first configuration; with --gemini also make the webhook, and see its ping arrive')
    .option('--gemini <url>', 'public address at which Gemini reaches the relay; needs GEMINI_API_KEY', publicUrl)
    .option('--port <port>', 'where the relay listens, behind that address', portNumber, 8080)
    .action(async ({ config: file, gemini, port }: InitOptions) => {
      const { env } = process
      if (gemini === undefined) {
        for (const line of writeConfig({ file, port, uri: undefined, env })) tell(line)
        tell(`next: gemini-relay serve --config ${file}`)
        return
      }
      // Before anything is made.
      geminiAccess({}, env)
      const uri = new URL(gemini).href
      const existing = readExisting(file, uri, env)
      if (existing !== undefined) tell(`${file} exists, and declares this webhook: it is kept as it is`)
      else for (const line of writeConfig({ file, port, uri, env })) tell(line)
      const aborted = new AbortController()
      void nextSignal(() => aborted.abort())
      const config = existing ?? { loaded: loadConfig({ file, env }), uri }
      const arrived = await quickStart({ ...config, env, tell, signal: aborted.signal })
      if (arrived) tell(`next: gemini-relay serve --config ${file}`)
      else process.exitCode = 1
    })
}
