import type { IdentityError } from "./errors.ts";
import { buildkite } from "./identity/buildkite.ts";
import { circleci } from "./identity/circleci.ts";
import { fromFile } from "./identity/file.ts";
import { github } from "./identity/github.ts";
import { gitlab } from "./identity/gitlab.ts";
import { kubernetes } from "./identity/kubernetes.ts";
import { noIdentity, type Environment, type Identity, type Source, type SourceOptions } from "./identity/source.ts";
import { environment } from "./cli/environment.ts";

export type { Identity };

/** Defaults: the process's variables, and `STINT_URL` as the audience that evidence is made for. */
export interface IdentityOptions {
  readonly env?: Environment;
  readonly audience?: string;
  readonly fetch?: typeof fetch;
}

/** In this order: what was said plainly wins over what was found. */
const SOURCES: readonly Source[] = [explicit, github, gitlab, buildkite, circleci, kubernetes];

/**
 * Finds how this process can prove what it is: `STINT_ID_TOKEN_FILE` or `STINT_ID_TOKEN`, GitHub Actions, GitLab CI, Buildkite,
 * CircleCI, a projected Kubernetes token. Nothing is fetched before it is needed; `token()` then says exactly what is missing.
 */
export function autoIdentity(options: IdentityOptions = {}): Identity {
  const env = options.env ?? environment();
  const audience = options.audience ?? env["STINT_URL"] ?? "http://127.0.0.1:8420";
  const known: SourceOptions = { env, audience, fetch: options.fetch ?? fetch };
  for (const source of SOURCES) {
    const identity = source(known);
    if (identity !== undefined) return checked(identity);
  }
  return { source: "none", token: () => Promise.reject(nothingFound()) };
}

/** Evidence that is handed in as it is. */
export const fixedIdentity = (token: string, source = "given"): Identity => checked({ source, token: async () => token });

function explicit({ env }: SourceOptions): Identity | undefined {
  const file = env["STINT_ID_TOKEN_FILE"];
  if (file) return fromFile(file, "STINT_ID_TOKEN_FILE");
  const token = env["STINT_ID_TOKEN"];
  return token ? { source: "STINT_ID_TOKEN", token: async () => token.trim() } : undefined;
}

/** Never sends what is plainly no token: a wrong file must not end up in somebody's log. */
function checked(identity: Identity): Identity {
  return {
    source: identity.source,
    async token() {
      const token = (await identity.token()).trim();
      if (token === "") throw noIdentity(`${identity.source} is empty`, "It must hold a token (JWT).");
      if (token.length > 16_384 || !/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(token)) {
        throw noIdentity(
          `${identity.source} does not hold a token`,
          "Expected a signed JWT: three base64url parts with dots between them. Nothing was sent.",
        );
      }
      return token;
    },
  };
}

function nothingFound(): IdentityError {
  return noIdentity(
    "nothing here proves what this software is",
    "Set STINT_ID_TOKEN_FILE to a file that holds an OIDC token for the broker. GitHub Actions, GitLab CI, Buildkite, CircleCI and projected Kubernetes tokens are found by themselves.",
  );
}
