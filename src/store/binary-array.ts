/**
 * Columns of many rows as one parameter each: Postgres' binary array format, which `pg` sends as is because the
 * parameter is a Buffer. Text arrays would be escaped here and parsed there.
 * Format: src/backend/utils/adt/arrayfuncs.c, array_recv: dimensions, has-null flag, element oid, length, lower bound, elements.
 */
const oid = { bool: 16, bytea: 17, int8: 20, text: 25, timestamptz: 1184 } as const

/** Milliseconds from the Unix epoch to Postgres' own, 2000-01-01. */
const postgresEpochMs = 946_684_800_000

const headerBytes = 20

export function textArray(values: readonly (string | null)[]): Buffer {
  let size = headerBytes
  for (const value of values) size += 4 + (value === null ? 0 : Buffer.byteLength(value))
  const out = header(oid.text, values.length, size)
  let at = headerBytes
  for (const value of values) {
    if (value === null) {
      at = out.writeInt32BE(-1, at)
      continue
    }
    const bytes = out.write(value, at + 4)
    out.writeInt32BE(bytes, at)
    at += 4 + bytes
  }
  return out
}

export function byteaArray(values: readonly (Buffer | null)[]): Buffer {
  let size = headerBytes
  for (const value of values) size += 4 + (value?.length ?? 0)
  const out = header(oid.bytea, values.length, size)
  let at = headerBytes
  for (const value of values) {
    at = out.writeInt32BE(value === null ? -1 : value.length, at)
    if (value !== null) at += value.copy(out, at)
  }
  return out
}

/** Decimal digits, numbers or bigints. */
export function int8Array(values: readonly (string | number | bigint | null)[]): Buffer {
  return fixed(oid.int8, 8, values, writeInt8)
}

export function boolArray(values: readonly (boolean | null)[]): Buffer {
  return fixed(oid.bool, 1, values, (out, value, at) => out.writeUInt8(value ? 1 : 0, at))
}

export function timestamptzArray(values: readonly (Date | null)[]): Buffer {
  return fixed(oid.timestamptz, 8, values, writeTimestamptz)
}

/** One value, no array: `pg` would send a Date as text. */
export function timestamptz(value: Date): Buffer {
  const out = Buffer.allocUnsafe(8)
  writeTimestamptz(out, value, 0)
  return out
}

function writeTimestamptz(out: Buffer, value: Date, at: number): number {
  return writeInt8(out, (value.getTime() - postgresEpochMs) * 1_000, at)
}

/** As two halves where a number can hold it: a BigInt is an allocation each. */
function writeInt8(out: Buffer, value: string | number | bigint, at: number): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number)) return out.writeBigInt64BE(BigInt(value), at)
  out.writeInt32BE(Math.floor(number / 2 ** 32), at)
  return out.writeUInt32BE(number >>> 0, at + 4)
}

function fixed<T>(
  type: number,
  width: number,
  values: readonly (T | null)[],
  write: (out: Buffer, value: T, at: number) => number,
): Buffer {
  let size = headerBytes
  for (const value of values) size += 4 + (value === null ? 0 : width)
  const out = header(type, values.length, size)
  let at = headerBytes
  for (const value of values) {
    at = out.writeInt32BE(value === null ? -1 : width, at)
    if (value !== null) at = write(out, value, at)
  }
  return out
}

function header(type: number, length: number, size: number): Buffer {
  const out = Buffer.allocUnsafe(size)
  out.writeInt32BE(1, 0)
  out.writeInt32BE(1, 4)
  out.writeInt32BE(type, 8)
  out.writeInt32BE(length, 12)
  out.writeInt32BE(1, 16)
  return out
}
