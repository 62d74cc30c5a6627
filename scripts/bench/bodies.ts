import { algOf, EXPECTED, isIssue, type Lane } from "./lanes.ts";
import type { Loader } from "./loader.ts";
import type { BenchOptions, HttpPath } from "./options.ts";
import type { Peer } from "./peer.ts";
import type { Program } from "./programs.ts";
import type { Scenario } from "./scenario.ts";

/** Whom to ask for what is missing. */
export interface Suppliers {
  readonly options: BenchOptions;
  readonly scenario: Scenario;
  readonly loader: Loader;
  readonly peer?: Peer | undefined;
}

/** The floor keeps no account of spent evidence: it may be shown the same again, which spares minting. */
const FLOOR_BODIES = 4_000;

/** What is sent: fresh evidence, or live tokens of each program from its own answers, which are there to introspect and to revoke. */
export class Bodies {
  readonly #suppliers: Suppliers;
  readonly #tokens = new Map<Program, string[]>();

  constructor(suppliers: Suppliers) {
    this.#suppliers = suppliers;
  }

  /** As many as are wanted, unless the lane may be sent the same again. */
  async of(path: HttpPath, { program, peer }: Lane, wanted: number): Promise<readonly string[]> {
    if (peer?.mint !== undefined) return peer.mint(wanted);
    const { options, scenario } = this.#suppliers;
    if (isIssue(path)) {
      const count = program.name === "floor" && options.requests === undefined ? Math.min(wanted, FLOOR_BODIES) : wanted;
      return scenario.mint(count, algOf(path), program.url);
    }
    const stock = this.#stock(program);
    // revoking uses tokens up, introspecting does not
    const needed = path === "revoke" ? Math.min(wanted, 10_000) : Math.min(wanted, 2_000);
    if (stock.length < needed) await this.#issueUnmeasured(program, needed - stock.length);
    const tokens = path === "revoke" ? stock.splice(0, wanted) : stock.slice(-2_000);
    return tokens.map((token) => `token=${token}`);
  }

  /** Keeps tokens for the paths that look at them later. */
  keep(program: Program, tokens: readonly string[]): void {
    this.#stock(program).push(...tokens);
  }

  #stock(program: Program): string[] {
    let stock = this.#tokens.get(program);
    if (stock === undefined) this.#tokens.set(program, (stock = []));
    return stock;
  }

  async #issueUnmeasured(program: Program, count: number): Promise<void> {
    const { scenario, loader, options, peer } = this.#suppliers;
    const stocking = program.name === "peer" ? peer?.stock : undefined;
    const { collected } = await loader.run({
      port: program.port,
      path: "/oauth2/token",
      headers: stocking?.headers ?? [],
      bodies: stocking?.mint?.(count) ?? (await scenario.mint(count, "ES256", program.url)),
      cycle: false,
      connections: options.connections,
      ms: 120_000,
      expect: { status: 200, text: EXPECTED["issue-es256"] },
      collect: "access_token",
      pace: undefined,
    });
    this.keep(program, collected);
  }
}
