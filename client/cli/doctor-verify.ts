import { askOnce } from "../ask.ts";
import { bad, leftOut, type Finding } from "../doctor/finding.ts";
import { forgedTokens } from "../doctor/forged.ts";
import { foreign, livesAndDies, type Lent } from "../doctor/honoured.ts";
import { judgeBare, judgeForged, judgeMetadata, metadataUrl, namedMetadata, type Ask, type Heard } from "../doctor/resource.ts";
import { systemCode } from "../errors.ts";
import { secretVariable, span, type Context } from "./context.ts";
import { printFindings } from "./doctor-report.ts";
import { UsageError } from "./exit-codes.ts";

interface Options {
  readonly timeout?: string;
  readonly grant?: string;
  readonly otherGrant?: string;
  readonly within: string;
  readonly json?: string;
}

/** `stint doctor verify URL`: how a resource server treats tokens. Real ones are asked for only when a grant is named. */
export async function run(context: Context, options: Options, address: string): Promise<number> {
  const url = protectedAddress(address, options);
  const withinMs = span(options.within, "--within");
  const timeoutMs = span(options.timeout ?? "10s", "--timeout");
  const ask: Ask = (token) => asking(context, url, timeoutMs, token);
  const found: Finding[] = [];
  try {
    found.push(...(await inspect(context, url, ask, timeoutMs)));
    let task: string | undefined;
    if (options.otherGrant !== undefined) {
      const lent = await lend(context, options.otherGrant, task);
      task = lent.task;
      found.push(await foreign(ask, lent, options.otherGrant));
    }
    if (options.grant === undefined)
      found.push(leftOut("honoured", "left out without a real token: is a good one honoured, and refused once revoked", "--grant NAME"));
    else found.push(...(await livesAndDies(ask, await lend(context, options.grant, task), context.clock, withinMs)));
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    found.push(bad("reach", error.message, { next: "Is the address right, and is the API up?" }));
  }
  return printFindings(context.screen, { schema: "doctor-verify/v1", subject: url, findings: found }, options);
}

function protectedAddress(text: string, { grant, otherGrant }: Options): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    throw new UsageError("that is no address", "Expected one that is protected, for example https://deploy.acme.dev/deploy");
  const { protocol, hostname, href } = new URL(text);
  const near = hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
  if ((grant !== undefined || otherGrant !== undefined) && protocol !== "https:" && !near)
    throw new UsageError(
      `${href} is not encrypted`,
      "A real token travels over https only; without --grant and --other-grant none is sent.",
    );
  return href;
}

/** No token of ours is needed for this much. */
async function inspect(context: Context, url: string, ask: Ask, timeoutMs: number): Promise<readonly Finding[]> {
  const bare = await ask();
  const found = [...judgeBare(bare)];
  const place = namedMetadata(bare.challenge) ?? metadataUrl(url);
  const { findings, audience = new URL(url).origin } = judgeMetadata(await document(context, place, timeoutMs), url, context.url);
  found.push(...findings);
  if (bare.status !== 401) return found;
  const kid = await aKey(context, timeoutMs);
  for (const { name, token } of forgedTokens({ issuer: context.url, audience, kid, now: context.clock() }))
    found.push(judgeForged(name, await ask(token)));
  return found;
}

/** The resource server itself did not answer; a refusal of the broker is another matter. */
class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

async function asking({ fetch }: Context, url: string, timeoutMs: number, token: string | undefined): Promise<Heard> {
  try {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const response = await fetch(url, { headers, redirect: "manual", signal: AbortSignal.timeout(timeoutMs) });
    await response.body?.cancel();
    return { status: response.status, challenge: response.headers.get("www-authenticate") ?? "" };
  } catch (error) {
    // not by class: what fetch throws may come from another realm
    const cause = typeof error === "object" && error !== null && "cause" in error ? error.cause : undefined;
    throw new NoAnswer(`${url} did not answer (${systemCode(error) ?? systemCode(cause) ?? "no answer"})`, { cause: error });
  }
}

async function document({ fetch }: Context, url: string, timeoutMs: number): Promise<unknown> {
  if (!URL.canParse(url)) return undefined;
  const response = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(timeoutMs) }).catch(() => undefined);
  return response?.ok === true ? await response.json().catch(() => undefined) : undefined;
}

/** The name of a key that the broker signs with, so that forged tokens look their best. */
async function aKey(context: Context, timeoutMs: number): Promise<string | undefined> {
  const keys = (await document(context, new URL("/.well-known/jwks.json", context.url).href, timeoutMs)) as
    | { keys?: readonly { kid?: string }[] }
    | undefined;
  return keys?.keys?.[0]?.kid;
}

/** Under the task of an earlier one, if there was one: evidence may be good for a single use. */
async function lend(context: Context, grant: string, task: string | undefined): Promise<Lent & { readonly task: string }> {
  const { env, broker } = context;
  const view = await askOnce(broker, task ?? secretVariable(env, "STINT_TASK_TOKEN") ?? context.identity(), {
    grant,
    purpose: "stint doctor verify",
  });
  const { credential, lease_id: lease, revocation } = view;
  if (credential.type !== "jwt" || typeof credential.token !== "string")
    throw new UsageError(`${grant} gives no token`, "Name a grant of the jwt issuer.");
  const { token } = credential;
  return {
    token,
    task: view.task_token,
    revocation,
    deadBy: () => view.dead_by,
    giveBack: async () => void (await broker.release(lease, token)),
  };
}
