import type { DecisionTrace } from "../../domain/decision.ts";
import { parseDuration } from "../../domain/time.ts";
import { CompiledPolicy, type Compilation } from "./compile.ts";
import { decide } from "./decide.ts";
import type { GrantDocument, PolicyTest } from "./document.ts";
import type { Policy } from "./policy.ts";

/** How one in-file test went. `trace` is there for those that failed. */
export interface TestResult {
  readonly grant: string;
  readonly index: number;
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly passed: boolean;
  /** `allow`, `deny` or `deny <code>`. */
  readonly expected: string;
  readonly got: string;
  readonly trace: DecisionTrace | undefined;
}

/** The moment a test is made at unless it names one: a Wednesday at noon, so that a test does not change with the clock. */
const TEST_TIME = Date.parse("2026-01-07T12:00:00Z");

/** Runs the tests of every grant, in order. */
export function runAllTests(compilation: Pick<Compilation, "policy" | "grants">): readonly TestResult[] {
  return compilation.grants.flatMap(({ document, complaints }) =>
    runTests(compilation.policy, document).map((result) => ({
      ...result,
      file: complaints.located.file,
      line: complaints.located.place(["tests", result.index]).line,
    })),
  );
}

/** Runs one grant's tests against a policy. Places are filled in by `runAllTests`. */
export function runTests(policy: Policy, document: GrantDocument): readonly TestResult[] {
  return (document.tests ?? []).map((test, index) => runTest(policy, document.name, test, index));
}

function runTest(policy: Policy, grant: string, test: PolicyTest, index: number): TestResult {
  const { given } = test;
  const trust = policy.trusts.get(given.trust);
  const id = trust?.renderId(given.claims) ?? "test";
  const decision = decide(policy, {
    principal: {
      trust: given.trust,
      subject: `${given.trust}:${id}`,
      workload: trust?.renderWorkload(given.claims) ?? given.trust,
      claims: given.claims,
    },
    request: {
      grant,
      purpose: given.purpose ?? "",
      scope: given.scope ?? [],
      ttlMs: given.ttl === undefined ? undefined : parseDuration(given.ttl),
      resource: given.resource ?? "",
      environment: given.environment ?? "",
    },
    task: { id: "", parent: "" },
    now: given.at === undefined ? TEST_TIME : Date.parse(given.at),
    network: { ip: given.ip ?? "" },
    posture: {},
    risk: 0,
  });
  // In audit mode a test is about the rules, not about their being waived for now.
  const code = decision.allowed ? decision.shadowed?.code : decision.view.code;
  const got = code === undefined ? "allow" : `deny ${code}`;
  const passed = test.expect === got || (test.expect === "deny" && code !== undefined);
  return {
    grant,
    index,
    name: test.name,
    file: "",
    line: 0,
    passed,
    expected: test.expect,
    got,
    trace: passed || !(policy instanceof CompiledPolicy) ? undefined : decision.trace(),
  };
}
