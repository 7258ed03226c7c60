/** Bodies that are hard to read. Signed, each of them is an event like any other. */
import type { Random } from './random.ts'

/** Below the limit of a body in this run, with room for what stands around the nest. */
const maxDepth = 7_000

/** None begins with digits and a full stop: see docs/adr/0012. */
export function hostileBody(random: Random, id: string): Buffer {
  const depth = random.between(1, maxDepth)
  const text = (data: string, rest = '') => Buffer.from(`{"type":"batch.failed","data":${data}${rest}}`)
  const make: (() => Buffer)[] = [
    () => text('['.repeat(depth) + ']'.repeat(depth)),
    () => text(`${'{"a":'.repeat(depth / 4)}1${'}'.repeat(depth / 4)}`),
    () => Buffer.from('['.repeat(depth) + ']'.repeat(depth)),
    () => Buffer.from('['.repeat(depth)),
    () => text(`{"id":"${id}","__proto__":{"type":"x","error_message":"polluted","admin":true}}`),
    () => text(`{"id":"${id}"}`, ',"__proto__":{"type":"batch.succeeded","user_metadata":{"priority":"high"}}'),
    () => text(`{"constructor":{"prototype":{"polluted":true}},"toString":null,"hasOwnProperty":1}`),
    () => text(`{"user_metadata":{"__proto__":{"priority":"high"},"constructor":7}}`),
    () => Buffer.from(`{"type":"${random.pick(['__proto__', 'constructor', 'toString', 'a'.repeat(9_000), '*', '\u{1f4a9}'])}"}`),
    () => Buffer.concat([Buffer.from('{"type":"'), random.bytes(random.below(40)), Buffer.from('"}')]),
    () => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), text('{}')]),
    () => Buffer.from(`\uFEFF{"type":"batch.failed","data":{}}`, 'utf16le'),
    () =>
      text(`{"id":${random.pick(['1e400000', '-1e400000', '9'.repeat(400), '-0', '1e-400', '0.1e1', '123456789012345678901'])}}`),
    () => text('{"id":"a"}', ',"type":"batch.succeeded","type":"video.generated","data":{"id":"b"}'),
    () => text(`{"id":"${id}\\u0000","error_message":"\\u0000"}`),
    () => text(`{"id":"\\ud800","error_message":"\\udfff\\ud800"}`),
    () => Buffer.concat([Buffer.from('{"type":"a","data":{"id":"'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"}}')]),
    () => Buffer.concat([Buffer.from('\0{"type":"a"}\0')]),
    () => text(`{"id":"${'é'.repeat(random.between(1, 3_000))}"}`),
    () => text(`{"error_message":"{{ event.type }} {% include 'x' %} <!channel> \${SECRET}"}`),
    () => Buffer.concat([Buffer.from('{'), random.bytes(random.below(400))]),
    () => Buffer.from(random.pick(['', ' ', 'null', 'true', '[]', '{}', '"', '{"type":null}', '{"type":7}', '{"data":{}}'])),
    () =>
      Buffer.from(
        `{"type":"a","timestamp":"${random.pick(['', '0000-00-00', '9'.repeat(50), '+275760-09-13', 'x', '2026-02-30'])}"}`,
      ),
  ]
  return random.pick(make)()
}
