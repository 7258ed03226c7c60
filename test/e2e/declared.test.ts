/** `webhooks plan` and `apply` against the emulator: drift that was made by hand is found and mended, once. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { lookedAt, readLastEvent } from '../../src/store/last-event.ts'
import { declaredRig, type DeclaredRig } from '../setup/declared.ts'
import { eventually } from '../setup/sender.ts'

let rig: DeclaredRig
beforeEach(async () => {
  rig = await declaredRig((uri) => `{ relay: { uri: "${uri}", source: gemini } }`)
})
afterEach(() => rig.stop())

async function one(): Promise<{ id: string; state: string }> {
  const { webhooks: [webhook] = [] } = await rig.webhooks.list()
  return { id: webhook?.id ?? '', state: webhook?.state ?? '' }
}

describe('webhooks plan and apply', () => {
  it('make, mend and enable, and then find nothing to do', async () => {
    const planned = await rig.run('plan', '--exit-code')
    expect(planned).toMatchObject({ code: 1, stderr: '' })
    expect(planned.stdout).toBe(
      `+ create relay: ${rig.uri}, events: batch.succeeded, batch.failed\n1 to create, 0 to update, 0 to delete\n`,
    )
    expect((await rig.run('plan')).code).toBe(0)
    expect(rig.proxy.changes).toEqual([])

    expect(await rig.run('apply')).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^\+ create relay/) })
    expect(await rig.run('plan', '--exit-code')).toMatchObject({
      code: 0,
      stdout: '= unchanged relay\nnothing to do: all webhooks are as declared\n',
    })

    const { id } = await one()
    await rig.webhooks.update(id, { subscribed_events: ['video.generated'], name: 'x', update_mask: 'subscribed_events,name' })
    await rig.webhooks.rotateSigningSecret(id, { revocation_behavior: 'revoke_previous_secrets_immediately' })
    await rig.gemini.steer('POST', `/webhooks/${id}/disable`)
    const lines = [
      '~ update relay: events: +batch.succeeded +batch.failed -video.generated, name: x → relay',
      '~ rotate relay (its secret is not known here)',
      '! enable relay (Gemini disabled it: its deliveries failed)',
    ]
    const drift = await rig.run('plan', '--json', '--exit-code')
    expect(drift.code).toBe(1)
    expect(JSON.parse(drift.stdout)).toMatchObject({
      webhooks: [{ name: 'relay', id, actions: [{ kind: 'update' }, { kind: 'rotate' }, { kind: 'enable' }] }],
      to_do: { create: 0, update: 1, rotate: 1, enable: 1, delete: 0 },
    })
    expect(drift.stdout).not.toContain('whsec_')
    expect((await rig.run('apply')).stdout.split('\n').slice(0, 3)).toEqual(lines)
    expect(await one()).toEqual({ id, state: 'enabled' })

    const before = rig.proxy.changes.length
    expect((await rig.run('apply')).stdout).toBe('= unchanged relay\nnothing to do: all webhooks are as declared\n')
    expect(rig.proxy.changes.slice(before)).toEqual([])
    // What Gemini revoked by hand is not trusted any longer; before the rotation it was all that was known.
    const { rows } = await rig.db.query(
      'select 1 from gemini_relay.signing_secrets where expires_at is null or expires_at > now()',
    )
    expect(rows).toHaveLength(1)
  })

  it('delete with --prune only, and only what a declaration made', async () => {
    await rig.webhooks.create({ uri: `${rig.uri}/another`, subscribed_events: ['batch.failed'], name: 'not ours' })
    expect((await rig.run('apply')).code).toBe(0)
    rig.declare({ webhooks: '{}' })
    const { id } = (await rig.webhooks.list()).webhooks?.find(({ name }) => name === 'relay') ?? {}
    const kept = `- no longer declared: relay, webhook ${id} (kept; --prune deletes it)\nnothing to do: all webhooks are as declared\n`
    expect(await rig.run('apply')).toMatchObject({ code: 0, stdout: kept })
    expect(await rig.run('apply', '--prune')).toMatchObject({
      code: 0,
      stdout: `- delete relay: webhook ${id} is no longer declared\nnothing to do: all webhooks are as declared\n`,
    })
    expect((await rig.webhooks.list()).webhooks?.map(({ name }) => name)).toEqual(['not ours'])
  })

  it('say what they need', async () => {
    rig.declare({ webhooks: `{ relay: { uri: "${rig.uri}", source: gemini } }`, rules: '[]' })
    expect(await rig.run('plan')).toMatchObject({ code: 1, stderr: expect.stringContaining('no rule wants an event') })
    delete rig.env['GEMINI_API_KEY']
    expect(await rig.run('apply')).toMatchObject({ code: 1, stderr: expect.stringContaining('GEMINI_API_KEY') })
    expect(rig.proxy.changes).toEqual([])
  })
})

describe('webhooks doctor', () => {
  it('finds nothing wrong after apply, and shows age of the secret and last event', async () => {
    expect((await rig.run('apply')).code).toBe(0)
    const { id } = await one()
    const silent = await rig.run('doctor')
    expect(silent).toMatchObject({ code: 0, stderr: '' })
    expect(silent.stdout).toContain(`no event of gemini was received\n    → gemini-relay webhooks ping ${id}`)
    await rig.run('ping', id)
    await eventually(
      () => rig.run('doctor'),
      ({ stdout }) => /^ {2}last +webhook\.ping at gemini, \d+s ago$/m.test(stdout),
    )
    const { code, stdout } = await rig.run('doctor')
    expect(code).toBe(0)
    expect(stdout.split('\n')).toEqual([
      `relay ${id} (declared)`,
      '  state  enabled',
      `  uri    ${rig.uri}`,
      '  events batch.succeeded, batch.failed',
      expect.stringMatching(/^ {2}secret \d+s old$/),
      expect.stringMatching(/^ {2}last {3}webhook.ping at gemini, \d+s ago$/),
      'nothing is wrong',
      '',
    ])
  })

  it('says what is wrong with each, and what to do', async () => {
    expect((await rig.run('apply')).code).toBe(0)
    const { id } = await one()
    const { id: twin = '' } = await rig.webhooks.create({ uri: rig.uri, subscribed_events: ['batch.failed'], name: 'twin' })
    const made = await rig.run('create', '--uri', `${rig.uri}/b`, '--events', 'video.generated', '--name', 'mine', '--json')
    const mine = z.object({ id: z.string() }).parse(JSON.parse(made.stdout)).id
    await rig.gemini.steer('POST', `/webhooks/${mine}/disable`)
    await rig.webhooks.rotateSigningSecret(mine)
    const declared = `{ relay: { uri: "${rig.uri}", source: gemini, events: [batch.succeeded] } }`
    rig.declare({
      webhooks: declared,
      rules: '[{ name: r, when: { type: [batch.failed, batch.cancelled, "interaction.*"] }, to: [trace] }]',
    })
    expect((await rig.run('apply')).code).toBe(0)
    await rig.webhooks.update(id, { name: 'x', update_mask: 'name' })
    await rig.db.query(
      `insert into gemini_relay.webhook_intents (source, webhook, revocation) values ('gemini', '${mine}', 'after_h24')`,
    )

    const { code, stdout } = await rig.run('doctor', '--json')
    expect(code).toBe(1)
    expect(stdout).not.toContain('whsec_')
    const said = reported.parse(JSON.parse(stdout))
    expect(said.findings).toEqual([
      expect.objectContaining({ what: expect.stringContaining(mine), todo: expect.stringContaining('webhooks heal') }),
    ])
    const problems = Object.fromEntries(
      said.webhooks.map(({ name, ownership, findings }) => [
        `${name}, ${ownership}`,
        findings.flatMap(({ level, what, todo }) => (level === 'problem' ? [`${what} → ${todo}`] : [])),
      ]),
    )
    const missing = (type: string, todo: string) => `a rule names ${type}, which this webhook does not send → ${todo}`
    expect(problems).toEqual({
      'relay, declared': [
        '~ update relay: name: x → relay → gemini-relay webhooks apply',
        missing('batch.failed', 'add it to gemini.webhooks.relay.events'),
      ],
      'mine, made by hand': [
        `Gemini disabled it: its deliveries failed → gemini-relay webhooks update ${mine} --state enabled`,
        `its secret is not known here → gemini-relay webhooks rotate ${mine}`,
        missing('batch.failed', `gemini-relay webhooks update ${mine} --events …`),
      ],
      'twin, not ours': [
        `it calls the address of relay (${id}) and is not ours: each event comes once more → where nobody needs it: gemini-relay webhooks delete ${twin}`,
      ],
    })
    const notes = said.webhooks[0]?.findings.filter(({ level }) => level === 'note').map(({ what }) => what)
    expect(notes).toEqual([
      expect.stringContaining('a rule names batch.cancelled'),
      expect.stringContaining('rules would take interaction.requires_action, interaction.completed, interaction.failed'),
      'no event of gemini was received',
    ])
  })

  it('looks for the last event from the newest back, and not through all of them', async () => {
    await rig.db.query(
      `insert into gemini_relay.events (source, webhook_id, scheme, type, received_at, body)
       select case when n = 1 then 'gemini' else 'other' end, 'msg_' || n, 'hmac', 'batch.failed', now(), '' from generate_series(1, $1) n`,
      [lookedAt + 1],
    )
    const pool = rig.db
    expect(await readLastEvent(pool, 'gemini')).toBeUndefined()
    expect(await readLastEvent(pool, 'other')).toMatchObject({ webhook_id: `msg_${lookedAt + 1}` })
    await pool.query(`delete from gemini_relay.events where webhook_id = 'msg_2'`)
    expect(await readLastEvent(pool, 'gemini')).toMatchObject({ webhook_id: 'msg_1', type: 'batch.failed' })
  })
})

const finding = z.object({ level: z.string(), what: z.string(), todo: z.string() })
const reported = z.object({
  webhooks: z.array(z.object({ name: z.string(), ownership: z.string(), findings: z.array(finding) })),
  findings: z.array(finding),
})
