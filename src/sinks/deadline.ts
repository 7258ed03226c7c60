/**
 * Runs `work` with a signal that aborts when `signal` does or after `timeoutMs`, whichever comes first.
 * (`AbortSignal.any` over `AbortSignal.timeout` would say the same, but on Node 20 the pair can be collected before it fires.)
 */
export async function withDeadline<T>(
  signal: AbortSignal,
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const abort = () => controller.abort()
  const timer = setTimeout(abort, timeoutMs)
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    return await work(controller.signal)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}
