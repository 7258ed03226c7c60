/** What tells that a file, or what is in a directory, has changed since. */
import { statSync, type Stats } from 'node:fs'
import { stat } from 'node:fs/promises'

/** By path. */
export type Stamps = ReadonlyMap<string, string>

export function stampOf(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats === undefined ? absent : textOf(stats)
}

export async function stampsNow(paths: Iterable<string>): Promise<Stamps> {
  return new Map(await Promise.all([...paths].map(async (path) => [path, await stat(path).then(textOf, () => absent)] as const)))
}

const absent = 'not there'

function textOf({ ino, size, mtimeMs }: Stats): string {
  return `${ino} ${size} ${mtimeMs}`
}
