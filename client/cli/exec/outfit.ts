import { join } from "node:path";
import { readFile } from "node:fs/promises";
import { combine } from "../../deliver/combine.ts";
import { deliver, inFile, inVariable, usualShape, type AgentKey, type Delivery, type Where } from "../../deliver/delivery.ts";
import { usualFormat } from "../../deliver/formats.ts";
import { secretsOf, tokenOf, type Answer } from "../../deliver/material.ts";
import { writePrivateFile } from "../../deliver/private-file.ts";
import { PrivateFolder } from "../../deliver/private-folder.ts";
import { generateSshKey, SshAgent } from "../../deliver/ssh-agent.ts";
import { defaultVariable, type Variables } from "../../deliver/variables.ts";
import type { CredentialRequest } from "../../broker-client.ts";
import type { Credential } from "../../lease.ts";
import type { Context } from "../context.ts";
import type { Way, Wish } from "./wishes.ts";

/** What the command gets, and what must be gone when it has ended. */
export class Outfit implements AsyncDisposable {
  readonly #context: Pick<Context, "env" | "clock">;
  readonly #folder: PrivateFolder;
  readonly #answers: { readonly wish: Wish; readonly answer: Answer }[] = [];
  readonly #keys = new Map<string, string>();
  readonly #secrets: string[] = [];
  #agent: SshAgent | undefined;

  constructor(context: Pick<Context, "env" | "clock">) {
    this.#context = context;
    this.#folder = new PrivateFolder(context.env);
  }

  /** Makes a key pair for the grant here, and asks for a certificate of its public half. */
  async keyFor(grant: string): Promise<NonNullable<CredentialRequest["options"]>> {
    const path = join(this.#folder.path, `${grant}.made`);
    const publicKey = await generateSshKey(path, `stint-${grant}`, this.#context.env);
    this.#keys.set(grant, await readFile(path, "utf8"));
    await this.#folder.remove(`${grant}.made`);
    return { public_key: publicKey };
  }

  take(wish: Wish, credential: Credential): void {
    this.#answers.push({ wish, answer: this.#answerOf(wish, credential) });
  }

  /** Puts a later credential into the files where the command reads one alone. */
  async replace(wish: Wish, credential: Credential): Promise<void> {
    const answer = this.#answerOf(wish, credential);
    this.#secrets.push(...secretsOf(answer.credential));
    for (const way of wish.ways.filter((one) => isReadAnew(one, answer)))
      for (const [name, text] of Object.entries(deliveryBy(way, answer, this.#folder).files ?? {}))
        await writePrivateFile(join(this.#folder.path, name), text);
  }

  /** Files are named by what was asked for: an answer cannot choose where it is written. */
  #answerOf({ grant }: Wish, { material, expiresAt }: Credential): Answer {
    const made = this.#keys.get(grant);
    const credential = made === undefined ? material : { ...material, private_key: made };
    return { grant, credential, expires_at: expiresAt.toISOString() };
  }

  /**
   * Writes the files, starts the agent; answers the command's variables and every text that must not be printed, a list that grows
   * with `replace`.
   */
  async prepare(): Promise<{ readonly variables: Variables; readonly secrets: readonly string[] }> {
    const deliveries = this.#answers.flatMap(({ wish, answer }) => wish.ways.map((way) => deliveryBy(way, answer, this.#folder)));
    const { variables, files, agentKeys, hidden } = combine(deliveries, this.#context.env);
    for (const [name, text] of Object.entries(files)) await this.#folder.write(name, text);
    this.#secrets.push(...this.#answers.flatMap(({ answer }) => secretsOf(answer.credential)), ...hidden);
    return { variables: { ...variables, ...(await this.#agentFor(agentKeys)) }, secrets: this.#secrets };
  }

  async #agentFor(keys: readonly AgentKey[]): Promise<Variables> {
    if (keys.length === 0) return {};
    const { env, clock } = this.#context;
    this.#agent = await SshAgent.start(join(this.#folder.path, "agent"), env);
    for (const { name, expiresAt } of keys) {
      await this.#agent.add(join(this.#folder.path, name), Math.floor((expiresAt - clock()) / 1000));
      await this.#folder.remove(name);
      await this.#folder.remove(`${name}-cert.pub`);
    }
    return { SSH_AUTH_SOCK: this.#agent.socket };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent?.[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** Whether the command finds a single token in a file of its own, which it may read again at any time. */
export function isReadAnew(way: Way, { credential }: Pick<Answer, "credential">): boolean {
  return tokenOf(credential) !== undefined && (way.as === "file" || (way.as === "shape" && way.shape === "aws"));
}

function deliveryBy(way: Way, answer: Answer, folder: PrivateFolder): Delivery {
  // asked for the path only where a shape needs it: a command that takes variables alone needs no place to write
  const where: Where = {
    get folder() {
      return folder.path;
    },
  };
  switch (way.as) {
    case "variable":
      return inVariable(way.name, answer);
    case "file":
      return inFile(way.name, answer, way.format ?? usualFormat(answer), where);
    case "shape":
      return deliver(way.shape, answer, where, way.host === undefined ? {} : { host: way.host });
    case "usual": {
      const shape = usualShape(answer);
      return shape === undefined ? inVariable(defaultVariable(answer.grant), answer) : deliver(shape, answer, where);
    }
  }
}
