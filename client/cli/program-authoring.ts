import { Option, type Command } from "commander";
import { ROLES } from "./roles.ts";
import type { Act } from "./program.ts";
import { connected, several } from "./program-workload.ts";
import { CI_NAMES } from "./templates/names.ts";

/** What those do who write policy and run the broker. */
export function defineAuthoring(program: Command, act: Act): void {
  program.commandsGroup("Write policy:");
  defineInit(program, act);
  definePolicy(program.command("policy").description("Check, test and explain the rules"), act);
  program
    .command("operator")
    .description("People and tools that may operate the broker")
    .command("add")
    .description("Make an operator token; it is shown once, only its hash is stored")
    .argument("<name>")
    .addOption(
      new Option("--role <role>", "viewer sees; responder also revokes and locks; admin does everything")
        .choices(ROLES)
        .makeOptionMandatory(),
    )
    .option("--file <file>", "default: $STINT_OPERATOR_TOKENS_FILE, else operators in the configuration folder")
    .option("--out <file>", "write the token to this file, mode 0600, instead of showing it")
    .addHelpText("before", "  stint operator add mara --role responder\n")
    .action(act(() => import("./operator-add.ts")));
  program
    .command("verifier")
    .description("Resource servers that honour our tokens")
    .command("add")
    .description("Write a Verifier document with a new key; the key is shown once, only its hash is stored")
    .argument("<name>")
    .requiredOption("--audience <uri>", "the audience of the tokens it honours")
    .addOption(
      new Option("--checks <how>", "what it does before it believes a token")
        .choices(["feed", "introspection", "none"])
        .default("introspection"),
    )
    .option("--config <folder>", "default: $STINT_CONFIG, else stint")
    .option("--out <file>", "write the key to this file, mode 0600, instead of showing it")
    .addHelpText("before", "  stint verifier add deploy-api --audience https://deploy.acme.dev\n")
    .action(act(() => import("./verifier-add.ts")));
  program.commandsGroup("Run a broker:");
  program
    .command("serve")
    .description("Run the broker from STINT_* variables")
    .option("--config <path>", "instead of $STINT_CONFIG")
    .option("--watch", "reload it whenever it changes")
    .action(act(() => import("./serve.ts")));
  defineVerifyProxy(program, act);
  program
    .command("dev")
    .description("Run a broker on this machine to play with, and a toy job that may ask it")
    .option("--folder <folder>", "where its keys and data lie", ".stint-dev")
    .option("--port <n>", "of the broker", "8420")
    .action(act(() => import("./dev.ts")));
  program
    .command("demo")
    .description("The whole story in a minute, on real parts, every line asserted")
    .option("--all", "two acts more, with a real Postgres and a real sshd")
    .option("--keep", "leave it running and print the addresses")
    .action(act(() => import("./demo.ts")));
}

function defineVerifyProxy(program: Command, act: Act): void {
  program
    .command("verify-proxy")
    .description("Answer nginx, Envoy or Traefik beside an API: tokens and routes checked here, revocations by the feed")
    .option("--url <url>", "the broker (default: $STINT_URL)")
    .option("--verifier <name>", "whose routes to decide by (default: $STINT_VERIFIER)")
    .option("--listen <address>", "where proxies ask", "127.0.0.1:8430")
    .option("--max-staleness <span>", "without news of revocations for so long, refuse everything", "15s")
    .addOption(
      new Option("--on-stale <way>", "introspect: ask the broker about each token then").choices(["deny", "introspect"]).default("deny"),
    )
    .option("--routes-cache <file>", "keep the routes here, so that a start needs no broker")
    .option("--metrics <address>", "serve /metrics here")
    .addHelpText(
      "before",
      "  stint verify-proxy --url https://stint.acme.dev --verifier deploy-api --routes-cache /var/lib/stint/routes.json\n",
    )
    .addHelpText("after", "\nThe verifier's key is read from $STINT_VERIFIER_KEY or the file that $STINT_VERIFIER_KEY_FILE names.")
    .action(act(() => import("./verify-proxy.ts")));
}

function defineInit(program: Command, act: Act): void {
  program
    .command("init")
    .description("Write a first trust, grant, verifier and operator")
    .addOption(new Option("--ci <platform>", "who will ask").choices(CI_NAMES))
    .option("--repository-id <id>", "GitHub: gh api repos/OWNER/NAME --jq .id")
    .option("--project-id <id>", "GitLab: on the project's page; CircleCI: in its settings")
    .option("--organization <slug>", "Buildkite: organization; CircleCI: its id")
    .option("--pipeline <slug>", "Buildkite")
    .option("--namespace <namespace>", "Kubernetes")
    .option("--service-account <name>", "Kubernetes")
    .option("--issuer <url>", "Kubernetes, generic: who signs; GitLab: your own server")
    .option("--subject <sub>", "generic: whom to allow")
    .option("--grant <name>", "what may be asked for", "deploy-prod")
    .option("--audience <uri>", "the API that honours the credential", "https://deploy.example.com")
    .option("--scope <scope>", "what the credential may do", "deploy:write")
    .option("--environment <name>", "the deployment environment that must be used, where the platform has them", "production")
    .option("--owner <team>", "who answers for it", "team-platform")
    .option("--folder <folder>", "default: $STINT_CONFIG, else stint")
    .addHelpText(
      "before",
      "  stint init --ci github --repository-id 456789\n  stint init --ci kubernetes --namespace payments --service-account worker --issuer https://k8s.acme.dev\n",
    )
    .action(act(() => import("./init.ts")));
}

function definePolicy(policy: Command, act: Act): void {
  const offline = (name: string, description: string): void => {
    policy
      .command(name)
      .description(description)
      .argument("[path]", "default: $STINT_CONFIG, else stint")
      .option("--json [members]", "the findings as JSON")
      .action(act(async () => ({ run: (await import("./policy-offline.ts")).offline(name) })));
  };
  offline("check", "Load the files as the broker would; every mistake with its place");
  offline("test", "Run the tests that grants carry");
  offline("lint", "Look for what has burned others");
  connected(policy.command("explain"))
    .description("Why it was denied: each rule, each condition, and the smallest change that would pass")
    .argument("[denial]", "den_...")
    .option("--grant <grant>", "instead of a denial: what would be asked for")
    .option("--trust <trust>", "... by whom it would be vouched for")
    .option("--claims <file>", "... with these claims (JSON)")
    .option("--json [members]", "JSON")
    .addHelpText(
      "before",
      "  stint policy explain den_01jd...\n  stint policy explain --grant deploy-prod --trust github --claims claims.json\n",
    )
    .action(act(() => import("./policy-explain.ts")));
  connected(policy.command("simulate"))
    .description("What these files would decide otherwise than the policy in force")
    .argument("[path]", "default: $STINT_CONFIG, else stint")
    .option("--denial <denial>", "try this one; may be repeated", several)
    .option("--grant <grant>", "try a request for this grant")
    .option("--trust <trust>", "... vouched for by this trust")
    .option("--claims <file>", "... with these claims (JSON)")
    .option("--json [members]", "JSON")
    .addHelpText("before", "  stint policy simulate ./stint --denial den_01jd...\n")
    .action(act(() => import("./policy-simulate.ts")));
}
