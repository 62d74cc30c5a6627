import { askProgram } from "./program.ts";
import { identityUnavailable, noIdentity, type Source } from "./source.ts";

/**
 * CircleCI: the job's own `circleci` makes a token for our audience. The tokens in the job's variables are made for the
 * organisation itself, so they are used only where that program is missing.
 */
export const circleci: Source = ({ env, audience }) => {
  if (env["CIRCLECI"] !== "true") return undefined;
  return {
    source: "CircleCI",
    async token() {
      const asked = await askProgram("circleci", ["run", "oidc", "get", "--claims", JSON.stringify({ aud: audience })], env);
      if ("token" in asked) return asked.token;
      const ready = env["CIRCLE_OIDC_TOKEN_V2"] ?? env["CIRCLE_OIDC_TOKEN"];
      if (asked.failed === "missing" && ready) return ready;
      const hint = "The job must use at least one context; jobs of pull requests from forks get no token.";
      if (asked.failed === "missing")
        throw noIdentity("CircleCI: neither the circleci program nor CIRCLE_OIDC_TOKEN_V2 is there", hint, asked.cause);
      throw identityUnavailable("CircleCI: circleci could not get an ID token", hint, asked.cause);
    },
  };
};
