/** The environment's value, for a short look; what is claimed is measured with the standard one. */
export function fromEnv(name: string, standard: number): number {
  return Number(process.env[name] ?? standard)
}
