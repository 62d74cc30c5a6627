import { describe, expect, it } from "@jest/globals";
import { createOperators, newOperatorToken, parseOperators } from "../../broker/operators.ts";
import { Secret } from "../../domain/secret.ts";
import { origin } from "../support/broker.ts";

const KEY = `sha256:${"a".repeat(64)}`;

describe("the operator tokens file", () => {
  it("names operators, with comments and room to rotate", () => {
    const { entries, problems } = parseOperators(
      `# people\nada admin ${KEY} # laptop\n\nada admin sha256:${"b".repeat(64)}\nsam\tresponder sha256:${"c".repeat(64)}\r\n`,
      "f",
    );
    expect(problems).toEqual([]);
    expect(entries.map(({ name, role }) => `${name} ${role}`)).toEqual(["ada admin", "ada admin", "sam responder"]);
  });

  it.each([
    ["an unknown role", `ada root ${KEY}`, "unknown role"],
    ["a name of another kind", `Ada/../ admin ${KEY}`, "name"],
    ["a token instead of its hash", "ada admin stint_op_secret", "is not sha256"],
    ["a word too many", `ada admin ${KEY} more`, "is not sha256"],
    ["one name with two roles", `ada admin ${KEY}\nada viewer sha256:${"b".repeat(64)}`, "two roles"],
    ["one key twice", `ada admin ${KEY}\nsam viewer ${KEY}`, "twice"],
  ])("is refused with %s, naming the line and never the key", (_name, text, message) => {
    const { problems } = parseOperators(text, "operators");
    expect(problems).toMatchObject([
      { file: "operators", line: text.split("\n").length, severity: "error", message: expect.stringContaining(message) },
    ]);
    expect(JSON.stringify(problems)).not.toContain("secret");
    expect(JSON.stringify(problems)).not.toContain("aaaa");
  });
});

describe("an operator", () => {
  const token = newOperatorToken("sam", "responder");
  const refused: string[] = [];
  const operators = createOperators((operator, role) => void refused.push(`${operator.name} ${role}`));
  operators.replace(token.line, "f");

  it("is known by the token, and nobody else is", () => {
    expect(operators.authenticate(token.token)).toEqual({ name: "sam", role: "responder" });
    expect(operators.authenticate(new Secret(""))).toBeUndefined();
    expect(operators.authenticate(new Secret(`${token.token.reveal()}x`))).toBeUndefined();
  });

  it("reaches what the role allows and no further, which is recorded", () => {
    const sam = { name: "sam", role: "responder" } as const;
    for (const role of ["viewer", "approver", "responder"] as const) expect(() => operators.require(sam, role, origin())).not.toThrow();
    expect(() => operators.require(sam, "admin", origin())).toThrow(expect.objectContaining({ code: "insufficient_role" }));
    expect(refused).toEqual(["sam admin"]);
  });

  it("stays known when the new file is wrong, and is gone when a good one leaves the name out", () => {
    expect(operators.replace("sam responder nonsense", "f")).toHaveLength(1);
    expect(operators.authenticate(token.token)).toBeDefined();
    expect(operators.replace("", "f")).toEqual([]);
    expect(operators.authenticate(token.token)).toBeUndefined();
  });
});
