/** A receiver that is no bound for its sender: it answers 200 as soon as it has the body. */
import { createServer } from 'node:http'
import type { ReceiverCommand, ReceiverReport } from './http-receiver.ts'

let port = 0
let count = 0

const server = createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    count++
    response.end()
  })
})

process.on('message', (command: ReceiverCommand) => {
  switch (command) {
    case 'open':
      server.listen(port, '127.0.0.1', () => {
        const address = server.address()
        if (typeof address === 'object' && address !== null) ({ port } = address)
        report()
      })
      break
    case 'close':
      server.close(report)
      server.closeAllConnections()
      break
    case 'count':
      report()
      break
    default:
      command satisfies never
  }
})

// The harness is gone.
process.on('disconnect', () => process.exit())

function report(): void {
  process.send?.({ port, count } satisfies ReceiverReport)
}
