/** The demo's picture of what happened, for a terminal. */
import { styleText } from 'node:util'
import { formatTable, oneLine } from '../cli/table.ts'
import type { Arrival, JobRow } from './arrivals.ts'
import type { DemoRecord } from './kafka-topic.ts'
import type { Shipment } from './script.ts'
import type { SlackMessage } from './slack-server.ts'

export interface Answer {
  status: number
  /** `status` of a 200, `code` of anything else. */
  answer: string
}

const colours = process.stdout.isTTY && !('NO_COLOR' in process.env)

function paint(style: 'bold' | 'dim' | 'green' | 'red', text: string): string {
  return colours ? styleText(style, text) : text
}

export function print(text = ''): void {
  process.stdout.write(`${text}\n`)
}

export function heading(text: string): void {
  print(`\n${paint('bold', text)}`)
}

export function note(text: string): void {
  print(paint('dim', text))
}

export function printSent(sent: readonly { shipment: Shipment; answer: Answer }[], arrivals: readonly Arrival[]): void {
  const rows = sent.map(({ shipment, answer }) => {
    const owed = answer.answer === 'received' ? arrivals.filter(({ webhook_id }) => webhook_id === shipment.webhookId) : []
    return [shipment.type, shipment.scheme, shipment.subject, shipment.note, `${answer.status} ${answer.answer}`, describe(owed)]
  })
  print(formatTable(['TYPE', 'SIGNED BY', 'SUBJECT', 'NOTE', 'ANSWER', 'RULES → SINKS'], rows))
}

function describe(owed: readonly Arrival[]): string {
  const rules = [...new Set(owed.map(({ rule }) => rule))]
  const sinks = (rule: string) => owed.filter((arrival) => arrival.rule === rule).map(({ sink }) => sink)
  return rules.map((rule) => `${rule} → ${sinks(rule).join(', ')}`).join('; ')
}

export function printSlack(messages: readonly SlackMessage[]): void {
  print(
    formatTable(
      ['CHANNEL', 'TEXT'],
      messages.map(({ channel, text }) => [channel, oneLine(text)]),
    ),
  )
}

export function printRecords(records: readonly DemoRecord[]): void {
  print(
    formatTable(
      ['KEY', 'CE_TYPE', 'WEBHOOK-ID', 'VALUE'],
      records.map(({ key, headers, value }) => [key, headers.ce_type ?? '', headers['webhook-id'] ?? '', oneLine(value)]),
    ),
  )
}

export function printJobs(jobs: readonly JobRow[]): void {
  const rows = jobs.map((job) => [job.job_id, job.status, job.finished_at?.toISOString() ?? '', oneLine(job.error)])
  print(formatTable(['JOB_ID', 'STATUS', 'FINISHED_AT', 'ERROR'], rows))
}

export function printVerdict(problems: readonly string[], summary: string): void {
  heading(problems.length === 0 ? paint('green', `✓ everything arrived: ${summary}`) : paint('red', '✗ not everything arrived'))
  for (const problem of problems) print(`  - ${problem}`)
}
