import { describe, expect, it } from "@jest/globals";
import type { ServerResponse } from "node:http";
import { newId } from "../../../domain/ids.ts";
import { httpKind } from "../../../issuers/http/issuer.ts";
import { orderFor } from "../../contract/issuer-contract.ts";
import { fakeClock } from "../../support/clock.ts";
import { json, made, type Answer, startMaker } from "../../support/maker-server.ts";
import { targetPorts } from "../../support/target-ports.ts";

const clock = fakeClock();
const later = (ms: number): string => new Date(clock() + ms).toISOString();

/** What becomes of an order when the maker answers so; and how many calls were made. */
async function outcomeOf(
  answer: Answer,
  signal = AbortSignal.timeout(5_000),
): Promise<{ readonly error: unknown; readonly calls: number }> {
  await using maker = await startMaker(answer);
  const ports = targetPorts(clock);
  ports.secrets.set("env:MAKER_KEY", "a-key-of-at-least-thirty-two-characters");
  const settings = httpKind.settings.parse({ url: maker.url, key: "env:MAKER_KEY", insecure_http: true });
  const issuer = httpKind.open({ name: "queue", owner: undefined, settings }, ports);
  const order = orderFor({ issuer, settings: {}, now: clock });
  const error: unknown = await issuer.issue(order, signal).catch((failure: unknown) => failure);
  return { error, calls: maker.asked.length };
}

const raw =
  (text: string, status = 200, headers: Readonly<Record<string, string>> = { "content-type": "application/json" }): Answer =>
  (_asked, response) =>
    void response.writeHead(status, headers).end(text);
const credential = { secret: { name: "password", value: "x" } };

describe("a maker that lies", () => {
  it.each([
    ["about the lease", made((good) => ({ ...good, lease_id: newId("lease", clock()) })), "the maker answered for another lease"],
    [
      "about the end",
      made((good) => ({ ...good, expires_at: later(700_000) })),
      "the maker made a credential that lives longer than its lease",
    ],
    [
      "with a name that means something on our wire",
      made((good) => ({ ...good, credential: { secret: { name: "type", value: "x" } } })),
      "at credential.secret.name",
    ],
    [
      "with a fact called kind",
      made((good) => ({ ...good, credential: { ...credential, facts: { kind: "jwt" } } })),
      "not what the contract says",
    ],
    [
      "with a name that reaches for a prototype",
      raw('{"lease_id":"x","credential":{"__proto__":{"a":1}}}'),
      "a member name is not allowed here",
    ],
    [
      "with one name for two things",
      made((good) => ({ ...good, credential: { ...credential, facts: { password: "y" } } })),
      "at credential (custom)",
    ],
    ["with a member that stands twice", raw('{"lease_id":"a","lease_id":"b"}'), "a member stands twice in one object"],
    ["with more than the contract has", made((good) => ({ ...good, type: "postgres" })), "not what the contract says (unrecognized_keys)"],
    [
      "with no secret",
      made((good) => ({ ...good, credential: { secret: { name: "password", value: "" } } })),
      "at credential.secret.value",
    ],
    [
      "with a secret that is no text",
      made((good) => ({ ...good, credential: { secret: { name: "password", value: 7 } } })),
      "at credential.secret.value",
    ],
    ["with a handle that breaks a header", made((good) => ({ ...good, handle: "a\r\nX-Evil: 1" })), "at handle"],
    [
      "with a hundred members",
      made((good) => ({
        ...good,
        credential: { ...credential, facts: Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`f${index}`, 1])) },
      })),
      "at credential (custom)",
    ],
    ["deeply", raw(`${"[".repeat(50)}${"]".repeat(50)}`), "nested deeper than 8 levels"],
  ])("%s is refused for good, and nothing of its answer is repeated", async (_name, answer, message) => {
    const { error, calls } = await outcomeOf(answer);
    expect(error).toMatchObject({ name: "PermanentFailure", message: expect.stringContaining(message) });
    expect(String(error)).not.toMatch(/pw-of-this-test|Evil/);
    expect(calls).toBe(1);
  });
});

describe("a maker that does not answer as it should", () => {
  it.each([
    [
      "a page",
      raw("<html>welcome</html>", 200, { "content-type": "text/html" }),
      "PermanentFailure",
      "answered with something that is not JSON",
    ],
    ["a page called JSON", raw("<html>"), "PermanentFailure", "the maker's answer is not valid JSON"],
    ["nothing", raw("", 201), "PermanentFailure", "the maker's answer is not valid JSON"],
    ["two documents", raw('{"lease_id":"a"}{"lease_id":"b"}'), "PermanentFailure", "the maker's answer is not valid JSON"],
    ["bytes that are no text", raw("\xff\xfe{}"), "PermanentFailure", "the maker's answer is not valid JSON"],
    ["a redirect inside", raw("", 307, { location: "http://169.254.169.254/" }), "PermanentFailure", "redirects are not followed"],
    ["a refusal", json(403, { detail: "no" }), "PermanentFailure", "403 when asked to make a credential (no): has it the same key"],
    ["that the lease has ended", json(410, {}), "PermanentFailure", "this lease was made or ended before"],
    ["that it is busy", json(429, {}, { "retry-after": "9" }), "RetryableFailure", "429"],
    ["a fault", json(500, { detail: `password=${"s".repeat(40)}` }), "RetryableFailure", "500 when asked to make a credential ([...])"],
    ["that it was accepted", json(202, {}), "RetryableFailure", "202"],
  ])("says %s: nobody gets anything", async (_name, answer, name, message) => {
    const { error, calls } = await outcomeOf(answer);
    expect(error).toMatchObject({ name, message: expect.stringContaining(message) });
    expect(calls).toBe(1);
  });

  const half = (response: ServerResponse): void => {
    response.writeHead(201, { "content-type": "application/json", "content-length": 100 });
    response.write('{"lease_id":', () => response.destroy());
  };
  const twice: Answer = (asked, response) => {
    const body = JSON.stringify({ lease_id: asked.json["lease_id"], credential });
    const one = `HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    response.socket?.write(one + one.replace("password", "passw0rd"));
  };
  const flood = (response: ServerResponse, left: number): void => {
    if (left === 0 || response.destroyed) return void response.end();
    response.write(Buffer.alloc(2 ** 20, 0x20), () => flood(response, left - 1));
  };

  it("half: the lease is ended as if it had been made", async () => {
    const { error } = await outcomeOf((_asked, response) => half(response));
    expect(error).toMatchObject({
      name: "RetryableFailure",
      message: expect.stringMatching(/^the maker at http:\/\/127\.0\.0\.1:\d+ failed: /),
    });
  });

  it("twice: the first answer counts, the second reaches nobody", async () => {
    const { error: issued, calls } = await outcomeOf(twice);
    expect(issued).toMatchObject({ credential: { member: "password" } });
    expect(calls).toBe(1);
  });

  it("with 300 MB: as much is read as a credential takes", async () => {
    const before = process.memoryUsage().rss;
    const { error } = await outcomeOf((_asked, response) => flood(response.writeHead(201, { "content-type": "application/json" }), 300));
    expect(error).toMatchObject({ name: "RetryableFailure", message: expect.stringContaining("answered with too much") });
    expect(process.memoryUsage().rss - before).toBeLessThan(50 * 2 ** 20);
  });

  it("packed: an encoding that nobody asked for is not unpacked", async () => {
    const { error } = await outcomeOf(raw("x", 200, { "content-type": "application/json", "content-encoding": "gzip" }));
    expect(error).toMatchObject({ name: "RetryableFailure", message: expect.stringContaining("an encoding nobody asked for") });
  });

  it("too late: the call ends with its caller's patience", async () => {
    const patience = new AbortController();
    const { error } = await outcomeOf(() => patience.abort(), patience.signal);
    expect(error).toMatchObject({ name: "RetryableFailure", message: expect.stringContaining("took too long") });
  });
});
