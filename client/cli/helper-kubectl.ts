import { EXEC_CREDENTIAL_VERSIONS, execCredential, type ExecCredentialVersion } from "../deliver/kubernetes.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { askForProgram, type HelperOptions } from "./helper-ask.ts";

/** `stint credential-helper kubectl` (client-go credential plugins). client-go keeps the answer until it ends, and asks anew after a 401. */
export async function run(context: Context, options: HelperOptions): Promise<number> {
  const version = versionAsked(context.env["KUBERNETES_EXEC_INFO"]);
  context.screen.out.write(await askForProgram(context, options, (view) => execCredential(view, version)));
  return 0;
}

/** The version of the answer is the one that the kubeconfig names. */
function versionAsked(info: string | undefined): ExecCredentialVersion | undefined {
  if (info === undefined || info === "") return undefined;
  const asked = apiVersionOf(info);
  const known = EXEC_CREDENTIAL_VERSIONS.find((one) => one === asked);
  if (known === undefined)
    throw new UsageError(
      "the kubeconfig asks for a version of ExecCredential that is not known here",
      `Set apiVersion: ${EXEC_CREDENTIAL_VERSIONS[0]}`,
    );
  return known;
}

function apiVersionOf(info: string): unknown {
  try {
    const read: unknown = JSON.parse(info);
    return typeof read === "object" && read !== null && "apiVersion" in read ? read.apiVersion : undefined;
  } catch {
    return undefined;
  }
}
