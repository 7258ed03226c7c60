/** Why a server could not listen, as what to do about it. */
import { RelayError, messageOf } from './errors.ts'

/** @param hint how to choose another port */
export function listenError(error: NodeJS.ErrnoException, host: string, port: number, hint: string): unknown {
  if (error.code === 'EADDRINUSE') {
    return new RelayError('port_in_use', `port ${port} on ${host} is already in use`, { cause: error, hint })
  }
  if (error.syscall === 'listen' || error.syscall === 'getaddrinfo') {
    return new RelayError('cannot_listen', `cannot listen on ${host}:${port}: ${messageOf(error)}`, { cause: error })
  }
  return error
}
