/** `webhooks plan` and `apply` against the emulator: drift that was made by hand is found and mended, once. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { declaredRig, type DeclaredRig } from '../setup/declared.ts'

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
