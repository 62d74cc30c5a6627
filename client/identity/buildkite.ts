import { askProgram } from "./program.ts";
import { identityUnavailable, noIdentity, type Source } from "./source.ts";

/** Buildkite: the agent on the machine asks for a fresh token for our audience. */
export const buildkite: Source = ({ env, audience }) => {
  if (env["BUILDKITE"] !== "true") return undefined;
  return {
    source: "Buildkite",
    async token() {
      const folder = env["BUILDKITE_BIN_PATH"];
      const asked = await askProgram(
        folder ? `${folder}/buildkite-agent` : "buildkite-agent",
        ["oidc", "request-token", "--audience", audience],
        env,
      );
      if ("token" in asked) return asked.token;
      if (asked.failed === "missing")
        throw noIdentity(
          "Buildkite: buildkite-agent is not on PATH",
          "In a container, mount the agent's binary and pass BUILDKITE_AGENT_ACCESS_TOKEN, or set STINT_ID_TOKEN_FILE.",
          asked.cause,
        );
      if (!env["BUILDKITE_AGENT_ACCESS_TOKEN"])
        throw noIdentity(
          "Buildkite: BUILDKITE_AGENT_ACCESS_TOKEN is not set",
          "Pass it into the container that runs this step.",
          asked.cause,
        );
      throw identityUnavailable(
        "Buildkite: buildkite-agent could not get an ID token",
        "Run: buildkite-agent oidc request-token --audience ... to see why.",
        asked.cause,
      );
    },
  };
};
