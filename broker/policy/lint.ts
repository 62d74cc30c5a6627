import type { Compilation } from "./compile.ts";

export function lint(_compilation: Compilation, _now: number): void {}
