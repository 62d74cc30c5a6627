import { noIdentity, type Source } from "./source.ts";

/** GitLab CI gives ID tokens only by name, in variables that the job declares. */
export const gitlab: Source = ({ env, audience }) => {
  if (env["GITLAB_CI"] !== "true") return undefined;
  return {
    source: "GitLab CI",
    // STINT_ID_TOKEN, had it been declared, was found before us.
    token: () => Promise.reject(noIdentity("GitLab CI: the job declares no ID token for Stint", `Add to the job: id_tokens: { STINT_ID_TOKEN: { aud: ${audience} } }`)),
  };
};

/** CircleCI puts tokens into the job; version 2 names the pipeline's definition and is preferred. */
export const circleci: Source = ({ env }) => {
  if (env["CIRCLECI"] !== "true") return undefined;
  const token = env["CIRCLE_OIDC_TOKEN_V2"] ?? env["CIRCLE_OIDC_TOKEN"];
  return {
    source: "CircleCI",
    token: () =>
      token
        ? Promise.resolve(token)
        : Promise.reject(noIdentity("CircleCI: CIRCLE_OIDC_TOKEN_V2 is not set", "The job must use at least one context; jobs of pull requests from forks get no token.")),
  };
};
