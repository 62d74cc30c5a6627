import { execFile } from "node:child_process";
import { identityUnavailable, noIdentity, type Source } from "./source.ts";

/** Buildkite: the agent on the machine asks for a fresh token for our audience. */
export const buildkite: Source = ({ env, audience }) => {
  if (env["BUILDKITE"] !== "true") return undefined;
  return {
    source: "Buildkite",
    token: () =>
      new Promise((resolve, reject) => {
        const path = env["BUILDKITE_BIN_PATH"];
        const program = path ? `${path}/buildkite-agent` : "buildkite-agent";
        execFile(program, ["oidc", "request-token", "--audience", audience], { env: { ...env }, timeout: 15_000, maxBuffer: 65_536 }, (error, stdout) => {
          if (error === null) return resolve(stdout);
          if (error.code === "ENOENT") return reject(noIdentity("Buildkite: buildkite-agent is not on PATH", "In a container, mount the agent's binary and pass BUILDKITE_AGENT_ACCESS_TOKEN, or set STINT_ID_TOKEN_FILE.", error));
          if (!env["BUILDKITE_AGENT_ACCESS_TOKEN"]) return reject(noIdentity("Buildkite: BUILDKITE_AGENT_ACCESS_TOKEN is not set", "Pass it into the container that runs this step.", error));
          return reject(identityUnavailable("Buildkite: buildkite-agent could not get an ID token", "Run: buildkite-agent oidc request-token --audience ... to see why.", error));
        });
      }),
  };
};
