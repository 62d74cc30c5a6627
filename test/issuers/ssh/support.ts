import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { IssueOrder, Issued, Issuer } from "../../../domain/credential.ts";
import type { TargetPorts } from "../../../domain/target.ts";
import { systemClock } from "../../../domain/time.ts";
import { sshKind } from "../../../issuers/ssh/issuer.ts";
import type { SshParams } from "../../../issuers/ssh/settings.ts";
import { orderFor } from "../../contract/issuer-contract.ts";
import { ran, type Held, type Said } from "../../support/sshd.ts";
import { describeWith, type DescribeWith } from "../../support/needs.ts";
import { findSsh, type SshPrograms } from "../../support/ssh-programs.ts";
import { targetPorts } from "../../support/target-ports.ts";

/** OpenSSH on this machine, and what is described with it. */
export const programs: SshPrograms | undefined = await findSsh();
export const withSsh: DescribeWith<SshPrograms> = describeWith("OpenSSH that this user can run", programs);

/** A target as its document would open it. */
export const openSsh = (settings: unknown = {}, ports: TargetPorts = targetPorts(systemClock)): Issuer<SshParams> =>
  sshKind.open({ name: "web", owner: undefined, settings: sshKind.settings.parse(settings) }, ports);

/** One certificate of a grant's with these settings, asked for with these options. */
export async function issueWith(
  issuer: Issuer<SshParams>,
  settings: unknown = { principals: ["deploy"] },
  options: unknown = {},
  more: Partial<IssueOrder<SshParams>> = {},
): Promise<{ readonly order: IssueOrder<SshParams>; readonly issued: Issued; readonly held: Held }> {
  const order = orderFor({ issuer, settings, now: systemClock }, { options: issuer.options?.parse(options) ?? {}, ...more });
  const issued = await issuer.issue(order, AbortSignal.timeout(5000));
  const { token, secrets } = issued.credential;
  return { order, issued, held: { certificate: token.reveal(), privateKey: secrets?.["private_key"]?.reveal() ?? "" } };
}

/** A document as hosts fetch it. */
export async function fetched(issuer: Issuer<SshParams>, name: "ca.pub" | "krl"): Promise<Uint8Array> {
  const document = issuer.documents?.[name];
  if (document === undefined) throw new Error(`no document ${name}`);
  return document.read();
}
export const caLines = async (issuer: Issuer<SshParams>): Promise<string> => Buffer.from(await fetched(issuer, "ca.pub")).toString();

/** A folder of files for ssh-keygen. */
export interface Desk extends AsyncDisposable {
  readonly folder: string;
  put(name: string, content: string | Uint8Array): Promise<string>;
  read(name: string): Promise<string>;
  keygen(...args: readonly string[]): Promise<Said>;
}

export async function desk(): Promise<Desk> {
  const folder = await mkdtemp(join(tmpdir(), "stint-ssh-"));
  return {
    folder,
    put: async (name, content) => {
      await writeFile(join(folder, name), content, { mode: 0o600 });
      return join(folder, name);
    },
    read: (name) => readFile(join(folder, name), "utf8"),
    keygen: (...args) => ran(programs?.keygen ?? "ssh-keygen", args),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
