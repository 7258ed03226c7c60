/** What is said of repeated measurements: the median, and how far they lay apart. */

export interface Measured {
  median: number
  min: number
  max: number
}

export function measured(values: readonly number[]): Measured {
  const sorted = values.toSorted((a, b) => a - b)
  return { median: quantile(sorted, 0.5), min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN }
}

export function median(values: readonly number[]): number {
  return measured(values).median
}

/** @param part in [0, 1]; of values sorted in ascending order, the nearest rank */
export function quantile(sorted: ArrayLike<number>, part: number): number {
  if (sorted.length === 0) return Number.NaN
  if (part === 0.5 && sorted.length % 2 === 0) {
    const upper = sorted.length / 2
    return ((sorted[upper - 1] ?? Number.NaN) + (sorted[upper] ?? Number.NaN)) / 2
  }
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

/** To three significant digits, so that a report does not claim more than was measured. */
export function rounded(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(3)) : value
}

/** `median (min–max)` */
export function spread(values: readonly number[], digits: number): string {
  const { median: middle, min, max } = measured(values)
  return `${middle.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`
}
