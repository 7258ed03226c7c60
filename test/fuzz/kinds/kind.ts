import type { Draw } from '../signed.ts'
import type { Shot } from '../volley.ts'

/** Makes one request of its kind. */
export type Kind = (draw: Draw) => Shot
