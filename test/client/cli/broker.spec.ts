import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../domain/time.ts";
import { DEPLOY_KEY, openShop, type Shop } from "../../support/shop.ts";
import { freePort } from "../../support/redis.ts";
import { callCli, runCli, type Ran } from "./run-cli.ts";

/** The command against a whole broker on a real Redis. */
let shop: Shop;
let folder = "";
beforeAll(async () => {
  shop = await openShop();
  folder = await mkdtemp(join(tmpdir(), "stint-cli-"));
});
afterAll(async () => {
  await shop[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const workload = async (args: readonly string[], claims: Readonly<Record<string, unknown>> = {}): Promise<Omit<Ran, "signal">> => {
  const env = { STINT_URL: shop.broker.url, STINT_ID_TOKEN: (await shop.evidence(claims)).reveal() };
  return await (args[0] === "exec" ? runCli(args, env) : callCli(args, env));
};
const operator = async (
  args: readonly string[],
  role: "viewer" | "responder" | "admin" = "admin",
  input?: string,
): Promise<Omit<Ran, "signal">> => {
  const env = { STINT_URL: shop.broker.url, STINT_OPERATOR_TOKEN: shop.broker.operators[role].reveal() };
  return await (input === undefined ? callCli(args, env) : runCli(args, env, input));
};
const isActive = async (token: string): Promise<boolean> => {
  const answer = await fetch(`${shop.broker.url}/oauth2/introspect`, {
    method: "POST",
    headers: { authorization: `Bearer ${DEPLOY_KEY}` },
    body: new URLSearchParams({ token }),
  });
  return ((await answer.json()) as { active: boolean }).active;
};
const claimsOf = (token: string): Record<string, string> =>
  JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<string, string>;
/** Another run each time, so that no test joins another's task. */
let runs = 0;
const run = () => ({ run_id: `9${(runs += 1)}`, run_attempt: "1", check_run_id: `7${runs}` });
const lines = (text: string): string[] => text.trim().split("\n");

describe("stint request", () => {
  it("gives a pipe the bare credential, and people one line", async () => {
    const ran = await workload(["request", "deploy", "--ttl", "5m", "--purpose", "release"], run());
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
    expect(ran.err).toMatch(
      /^✓ lease_\w{26} {2}deploy · jwt · [45]m\w* \(limited by asked\) · verifier-checked · dead by \d\d:\d\d:\d\dZ\n$/,
    );
    expect(claimsOf(ran.out)["purpose"]).toBe("release");
    expect(await isActive(ran.out)).toBe(true);
  });

  it("writes it to a file that nobody else can read", async () => {
    const file = join(folder, "token");
    const ran = await workload(["request", "deploy", "--out", file, "--format", "env"], run());
    expect([ran.code, ran.out]).toEqual([0, ""]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readFile(file, "utf8")).toMatch(/^export DEPLOY_TOKEN='[\w.-]+'\n$/);
  });

  it("gives all of it as JSON, with the task token that ends it", async () => {
    const ran = await workload(["request", "deploy", "--format", "json"], run());
    const view = JSON.parse(ran.out) as { schema: string; task_id: string; task_token: string; credential: { token: string } };
    expect(view.schema).toBe("credential/v1");
    const ended = await callCli(["complete", view.task_id], { STINT_URL: shop.broker.url, STINT_TASK_TOKEN: view.task_token });
    expect([ended.code, ended.err]).toEqual([0, expect.stringContaining("ended (complete): 1 credential dead")]);
    expect(await isActive(view.credential.token)).toBe(false);
  });

  it("says in three lines what was denied, why, and what next", async () => {
    const ran = await workload(["request", "deploy"], { event_name: "pull_request_target" });
    expect([ran.code, ran.out]).toEqual([3, ""]);
    const [what, why, yours, next] = lines(ran.err);
    expect([what, why, yours]).toEqual([
      "✗ denied: deploy (claim_mismatch)",
      "  why   the rules for this grant were not met by: event_name",
      "  yours event_name=pull_request_target",
    ]);
    expect(next).toMatch(/^ {2}next {2}.* den_\w{26} to the owner\.$/);
  });

  it("tells a stranger the same of a grant that exists and of one that does not", async () => {
    const there = await workload(["request", "deploy"], { repository_id: "1" });
    const not = await workload(["request", "nothing"], { repository_id: "1" });
    const plain = (text: string): string => text.replace(/den_\w+/, "den_").replace(/deploy|nothing/, "GRANT");
    expect([plain(there.err), there.code]).toEqual([plain(not.err), not.code]);
    expect(there.err).toContain("(not_permitted)");
  });

  it("is 4 for evidence that is not accepted, and 6 when nobody is there", async () => {
    const forged = await shop.idp.token({ iss: shop.idp.issuer, aud: shop.broker.url }, { forge: true });
    expect((await callCli(["request", "deploy"], { STINT_URL: shop.broker.url, STINT_ID_TOKEN: forged })).code).toBe(4);
    const gone = await callCli(["request", "deploy", "--timeout", "1s"], {
      STINT_URL: `http://127.0.0.1:${await freePort()}`,
      STINT_ID_TOKEN: forged,
    });
    expect([gone.code, gone.err]).toEqual([6, expect.stringContaining("refused the connection")]);
  });

  it("refuses to send evidence in the clear to another machine, and what is no name or span", async () => {
    const clear = await callCli(["request", "deploy"], { STINT_URL: "http://stint.acme.dev", STINT_ID_TOKEN: "a.b.c" });
    expect([clear.code, lines(clear.err)[0]]).toEqual([2, "✗ STINT_URL http://stint.acme.dev is not encrypted"]);
    expect((await workload(["request", "Deploy!"])).code).toBe(2);
    expect((await workload(["request", "deploy", "--ttl", "soon"])).err).toContain('--ttl: "soon" is not a span of time');
    expect((await workload(["request"])).code).toBe(2);
  });
});

describe("stint exec", () => {
  it("gives the command a live credential that is dead when it has ended, minutes before its exp", async () => {
    const file = join(folder, "leaked");
    const ran = await workload(["exec", "--for", "deploy=TOKEN", "--", "sh", "-c", `printf %s "$TOKEN" > ${file}; exit 3`], run());
    expect(ran.code).toBe(3);
    expect(ran.err).toMatch(/✓ task_\w{26} ended \(exit\): 1 credential dead/);
    const token = await readFile(file, "utf8");
    expect(Number(claimsOf(token)["exp"]) * 1000).toBeGreaterThan(systemClock() + 300_000);
    expect(await isActive(token)).toBe(false);
  });

  it("twice in one CI run: the first ends the run's task, unless it keeps it", async () => {
    const kept = run();
    expect((await workload(["exec", "--keep-task", "--for", "deploy", "--", "true"], kept)).code).toBe(0);
    expect((await workload(["exec", "--for", "deploy", "--", "true"], kept)).code).toBe(0);
    const third = await workload(["exec", "--for", "deploy", "--", "true"], kept);
    expect([third.code, third.err]).toEqual([125, expect.stringContaining("--keep-task")]);
  });
});

describe("stint complete, whoami and can-i", () => {
  it("ends the task that the CI run belongs to, and says so again when it is asked again", async () => {
    const mine = run();
    const token = (await workload(["request", "deploy"], mine)).out;
    const first = await workload(["complete", "--outcome", "failure"], mine);
    expect([first.code, lines(first.out)[0]?.split("\t").slice(1, 4)]).toEqual([0, ["jwt", "revoked", "verifier_checked"]]);
    expect(await isActive(token)).toBe(false);
    expect(await workload(["complete"], mine)).toMatchObject({ code: 0, err: "✓ the task of this run has already ended\n" });
    expect(await workload(["complete"], run())).toMatchObject({
      code: 0,
      err: "✓ there was no open task of this run; nothing was issued to it\n",
    });
  });

  it("show who this is and what it may ask for", async () => {
    const ran = await workload(["whoami"], run());
    expect(ran.out).toContain("workload\tgithub/octo-org/octo-repo\nsubject\tgithub:456789\ntrust\tgithub\n");
    expect(ran.out).toContain("grants\tdeploy, few\n");
    expect((await operator(["whoami", "--field", "role"], "viewer")).out).toBe("viewer\n");
    expect((await workload(["can-i", "deploy"], run())).out).toBe("yes, for 10m (limited by grant)\n");
    expect(await workload(["can-i", "deploy", "-q"], { repository_id: "1" })).toMatchObject({ code: 3, out: "", err: "" });
  });

  it("answer an operator for supposed claims", async () => {
    const file = join(folder, "claims.json");
    await writeFile(file, JSON.stringify({ repository_id: "456789", ref: "main" }));
    const ran = await operator(["can-i", "deploy", "--trust", "github", "--as-claims", file], "viewer");
    expect([ran.code, ran.err]).toEqual([3, expect.stringContaining("not met by: ref")]);
  });
});

describe("stint lease and revoke", () => {
  const held = async (): Promise<{ token: string; lease: string; file: string }> => {
    const token = (await workload(["request", "deploy"], run())).out;
    const file = join(folder, `held-${runs}`);
    await writeFile(file, `${token}\n`);
    return { token, file, lease: claimsOf(token)["lease_id"] ?? "" };
  };

  it("list what is out: tab-separated in a pipe, JSON with all members, one member", async () => {
    const { lease } = await held();
    const plain = lines((await operator(["lease", "ls", "--grant", "deploy", "--state", "active"], "viewer")).out).find((line) =>
      line.startsWith(lease),
    );
    expect(plain?.split("\t").slice(1, 4)).toEqual(["active", "github/octo-org/octo-repo", "deploy"]);
    const json = JSON.parse((await operator(["lease", "ls", "--json", "--state", "active"], "viewer")).out) as {
      schema: string;
      items: { id: string; opened_at: string }[];
    };
    expect([json.schema, json.items.some(({ id, opened_at }) => id === lease && opened_at.endsWith("Z"))]).toEqual(["lease/v1", true]);
    expect(lines((await operator(["lease", "ls", "--field", "id", "--limit", "1000"], "viewer")).out)).toContain(lease);
    expect(JSON.parse((await operator(["lease", "inspect", lease, "--json=id,state"], "viewer")).out)).toEqual({
      schema: "lease/v1",
      id: lease,
      state: "active",
    });
    expect((await operator(["lease", "ls", "--field", "nonsense"], "viewer")).code).toBe(2);
  });

  it("say whose a leaked credential is, and kill it, without it ever being an argument", async () => {
    const { token, file, lease } = await held();
    expect((await operator(["lease", "ls", "--credential", "-", "--field", "id"], "viewer", `Authorization: Bearer ${token}`)).out).toBe(
      `${lease}\n`,
    );
    expect(await operator(["revoke", "--credential", token])).toMatchObject({
      code: 2,
      err: expect.stringContaining("--credential takes the name of a file"),
    });
    const ran = await operator(["revoke", "--credential", file, "--reason", "found in a log"], "responder");
    expect([ran.code, ran.err]).toEqual([0, expect.stringContaining("✓ 1 dead")]);
    expect(ran.err).not.toContain(token);
    expect(await isActive(token)).toBe(false);
    const { token: other } = await held();
    expect(
      (await operator(["revoke", "--credential-sha256", createHash("sha256").update(other).digest("hex"), "--json"], "responder")).code,
    ).toBe(0);
    expect(await isActive(other)).toBe(false);
  });

  it("end many only when the count is confirmed", async () => {
    const [first, second] = [await held(), await held()];
    const plan = JSON.parse(
      (await operator(["revoke", "--workload", "github/octo-org/octo-repo", "--dry-run", "--json"], "responder")).out,
    ) as { matched: number };
    expect(plan.matched).toBeGreaterThanOrEqual(2);
    const unasked = await operator(["revoke", "--workload", "github/octo-org/octo-repo"], "responder");
    expect([unasked.code, unasked.err]).toEqual([2, expect.stringContaining(`Say --confirm ${plan.matched}. Nothing was revoked.`)]);
    const wrong = await operator(["revoke", "--workload", "github/octo-org/octo-repo", "--confirm", "1"], "responder");
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining("Nothing was revoked.")]);
    expect([await isActive(first.token), await isActive(second.token)]).toEqual([true, true]);
    const done = await operator(
      ["revoke", "--workload", "github/octo-org/octo-repo", "--confirm", String(plan.matched), "--reason", "INC-412"],
      "responder",
    );
    expect([done.code, done.err]).toEqual([0, expect.stringContaining("in force since")]);
    expect([await isActive(first.token), await isActive(second.token)]).toEqual([false, false]);
  });

  it("need one selector, a reason for everything, and the role", async () => {
    expect((await operator(["revoke"])).err).toContain("Give exactly one of --lease");
    expect((await operator(["revoke", "--grant", "deploy", "--workload", "x"])).err).toContain("--workload and --grant exclude each other");
    expect((await operator(["revoke", "--all"])).err).toContain("--all needs --reason");
    expect((await operator(["revoke", "--lease", "lease_1"])).err).toContain('"lease_1" is not the id of a lease');
    expect((await operator(["revoke", "--grant", "deploy"], "viewer")).code).toBe(3);
    expect((await callCli(["lease", "ls"], { STINT_URL: shop.broker.url })).code).toBe(4);
    expect((await callCli(["lease", "ls"], { STINT_URL: shop.broker.url, STINT_OPERATOR_TOKEN: "nobody" })).code).toBe(4);
    expect((await operator(["lease", "inspect", "lease_01jd0000000000000000000002"])).code).toBe(7);
  });

  it("do not speak of an end that nobody confirmed where closing a lease found nothing to give up", async () => {
    const { lease } = await held();
    const ran = await operator(["lease", "close", lease, "--reason", "ticket 4711"], "admin");
    expect([ran.code, ran.err]).toEqual([0, `✓ ${lease} is revoked: nothing had to be given up.\n`]);
  });

  it("let a holder renew and give back its own lease", async () => {
    const view = JSON.parse((await workload(["request", "deploy", "--ttl", "5m", "--format", "json"], run())).out) as {
      lease_id: string;
      task_token: string;
    };
    const env = { STINT_URL: shop.broker.url, STINT_TASK_TOKEN: view.task_token };
    const renewed = (await callCli(["lease", "renew", view.lease_id, "--ttl", "20m"], env)).out;
    expect(claimsOf(renewed)["lease_id"]).toBe(view.lease_id);
    expect((await callCli(["lease", "revoke", view.lease_id], env)).code).toBe(0);
    expect(await isActive(renewed)).toBe(false);
    expect((await callCli(["lease", "renew", view.lease_id], { STINT_URL: shop.broker.url })).code).toBe(4);
  });
});

describe("stint lock", () => {
  it("refuses with the operator's words and exit 5 until it is removed", async () => {
    const added = await operator(
      ["lock", "add", "--grant", "few", "--ttl", "1h", "--reason", "freeze", "--message", "frozen until the release is out"],
      "responder",
    );
    const id = added.out.trim();
    expect(id).toMatch(/^lock_/);
    const refused = await workload(["request", "few"], run());
    expect([refused.code, refused.err]).toEqual([5, expect.stringContaining("frozen until the release is out")]);
    expect(
      lines((await operator(["lock", "ls"], "viewer")).out)[0]
        ?.split("\t")
        .slice(0, 2),
    ).toEqual([id, "grant few"]);
    expect((await operator(["lock", "rm", id], "responder")).code).toBe(0);
    expect((await workload(["request", "few"], run())).code).toBe(0);
    expect((await operator(["lock", "rm", id], "responder")).code).toBe(7);
  });
});

describe("stint policy explain, keys and hold", () => {
  it("show an operator why it was a refusal", async () => {
    const refused = await workload(["request", "deploy"], { ref: "x" });
    const denial = /den_\w{26}/.exec(refused.err)?.[0] ?? "";
    const page = await operator(["policy", "explain", denial], "viewer");
    expect([page.code, page.out]).toEqual([0, expect.stringContaining('✗ ref            wanted glob "refs/**"  got x')]);
    expect(page.out).toContain("Would pass if:");
    expect(page.out).toContain("Caller was told: claim_mismatch [ref]");
    expect((await operator(["policy", "explain", "den_1"], "viewer")).code).toBe(2);
    expect((await operator(["policy", "explain"], "viewer")).code).toBe(2);
  });

  it("list keys, announce the next, and withdraw one with what it signed", async () => {
    const token = (await workload(["request", "deploy"], run())).out;
    const kid = (JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString()) as { kid: string }).kid;
    expect((await operator(["keys", "ls", "--field", "kid"], "viewer")).out).toContain(kid);
    expect((await operator(["keys", "rotate"], "responder")).code).toBe(3);
    expect((await operator(["keys", "rotate"])).out).toContain("announced");
    const ran = await operator(["keys", "withdraw", kid, "--reason", "leaked"]);
    expect(ran.err).toContain(`${kid} is withdrawn`);
    expect(await isActive(token)).toBe(false);
    expect((await operator(["hold", "show"], "viewer")).out).toBe("hold\tno\n");
    expect((await operator(["keys", "rotate", "--now"])).code).toBe(0);
  });
});
