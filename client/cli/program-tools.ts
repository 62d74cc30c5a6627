import { Argument, type Command } from "commander";
import type { Act } from "./program.ts";
import { connected, several } from "./program-workload.ts";

/** What other programs call: the protocols by which they ask for credentials, and the completion of shells. */
export function defineTools(program: Command, act: Act): void {
  program.commandsGroup("For tools and shells:");
  const helper = program
    .command("credential-helper")
    .description("Answer git, docker, kubectl and the AWS SDKs when they ask for credentials");
  const asking = (name: string): Command =>
    connected(helper.command(name))
      .requiredOption("--grant <grant>", "the grant to ask for")
      .option("--ttl <span>", "how long it should live")
      .option("--purpose <text>", "why, for the audit trail")
      .option("--option <name=value>", "what the issuer takes beside; may be repeated", several);
  asking("git")
    .description("git's own protocol: git calls it with get, store or erase")
    .addArgument(new Argument("<operation>").choices(["get", "store", "erase"]))
    .option("--host <host>", "answer for this host only, with its port if it has one", "github.com")
    .option("--username <name>", "the user name that goes with a token")
    .addHelpText("before", "  git config --global credential.https://github.com.helper '!stint credential-helper git --grant source'\n")
    .action(act(() => import("./helper-git.ts")));
  asking("docker")
    .description("docker's own protocol: docker calls it with get, store, erase or list")
    .addArgument(new Argument("<operation>").choices(["get", "store", "erase", "list"]))
    .requiredOption("--host <host>", "answer for this registry only")
    .option("--username <name>", "the user name that goes with a token")
    .action(act(() => import("./helper-docker.ts")));
  asking("kubectl")
    .description("A client-go credential plugin (ExecCredential): a token or a client certificate")
    .action(act(() => import("./helper-kubectl.ts")));
  asking("aws")
    .description("A credential_process of the AWS SDKs, for grants that give AWS access keys")
    .addHelpText("after", "\nA JWT for AWS is no access key: give it to the SDKs by `stint exec --for GRANT=aws`.")
    .action(act(() => import("./helper-aws.ts")));
  program
    .command("completion")
    .description("Print the script that completes this command line in a shell")
    .addArgument(new Argument("<shell>").choices(["bash", "zsh", "fish"]))
    .addArgument(new Argument("[words...]", "the words so far: prints what may stand for the last of them"))
    .addHelpText("before", "  source <(stint completion bash)\n  stint completion fish > ~/.config/fish/completions/stint.fish\n")
    .action(
      act(async () => {
        const { run } = await import("./completion.ts");
        return { run: (context, _options: object, shell: string, words: readonly string[]) => run(context, program, shell, words) };
      }),
    );
}
