/** Ends what a run has started when the run itself is killed: nobody else would. */
import { spawn } from 'node:child_process'

export interface Guard {
  /** From now on this process is ended with us, until it has ended by itself. */
  watch(pid: number): void
  ended(pid: number): void
  /** Nothing is left to be ended. */
  stop(): void
}

/** Reads `+ pid` and `- pid`; the end of its input is our end. */
const script = `
pids=" "
while read -r sign pid; do
  case $sign in
    +) pids="$pids$pid " ;;
    -) pids=$(printf '%s' "$pids" | sed "s/ $pid / /") ;;
  esac
done
[ "$pids" = " " ] || kill -9 $pids
`

export function startGuard(): Guard {
  // A session of its own: Ctrl-C in the terminal is for us.
  const child = spawn('sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  child.stdin.on('error', () => {})
  return {
    watch: (pid) => void child.stdin.write(`+ ${pid}\n`),
    ended: (pid) => void child.stdin.write(`- ${pid}\n`),
    stop: () => void child.stdin.end(),
  }
}
