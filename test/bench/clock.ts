/** One clock for several processes of one machine: milliseconds since the epoch, with a fraction. */

/** More than one, because a process that loses the CPU between the two readings sees its tick late. */
const ticks = 8

/**
 * Watches some ticks of the wall clock's millisecond, which takes as many milliseconds, and counts on from there.
 * Made at the beginning of each measurement: over minutes the wall clock is slewed, and the other is not.
 *
 * @returns from a reading of `performance.now()`, by default the present one
 */
export function epochClock(): (reading?: number) => number {
  let offset = -Infinity
  for (let tick = 0; tick < ticks; tick++) {
    const last = Date.now()
    let now = last
    while (now === last) now = Date.now()
    // What delays the second reading makes the difference smaller, nothing makes it larger.
    offset = Math.max(offset, now - performance.now())
  }
  return (reading = performance.now()) => offset + reading
}
