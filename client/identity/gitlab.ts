import { noIdentity, type Source } from "./source.ts";

/** GitLab CI gives ID tokens only by name, in variables that the job declares. */
export const gitlab: Source = ({ env, audience }) => {
  if (env["GITLAB_CI"] !== "true") return undefined;
  return {
    source: "GitLab CI",
    // STINT_ID_TOKEN, had it been declared, was found before us.
    token: () =>
      Promise.reject(
        noIdentity(
          "GitLab CI: the job declares no ID token for Stint",
          `Add to the job: id_tokens: { STINT_ID_TOKEN: { aud: ${audience} } }`,
        ),
      ),
  };
};
