/** What `value` makes of a delivery, in place of the event as it was received. */
import type { Target } from '../config/targets.ts'
import { compileValueTree, type ValueTree } from '../route/value-tree.ts'
import { stringifyJson } from './deep-json.ts'
import type { Rendering } from './sink.ts'

/**
 * The JSON of a delivery.
 *
 * @throws ExpressionError
 */
export type RenderValue = (delivery: Rendering) => unknown

/**
 * A rule that says no `value` means the sink's.
 *
 * @returns undefined where the event goes out as it is
 */
export function compileRendering(
  { value }: { value?: ValueTree | undefined },
  { target }: Pick<Target, 'target'>,
): RenderValue | undefined {
  const tree = target.value ?? value
  if (tree === undefined) return undefined
  const evaluate = compileValueTree(tree, 'value')
  return ({ stored, resource }) => evaluate(stored.event, resource)
}

export function jsonBytes(value: unknown): Buffer {
  return Buffer.from(stringifyJson(value))
}
