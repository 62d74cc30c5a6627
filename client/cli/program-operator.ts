import { Option, type Command } from "commander";
import { LEASE_STATES } from "../../domain/lease.ts";
import { AUDIT_ACTIONS } from "../../domain/audit-event.ts";
import type { Act } from "./program.ts";
import { defineDoctor } from "./program-doctor.ts";
import { connected, readable, several } from "./program-workload.ts";

/** What an operator does: see, end, lock, prove. */
export function defineOperator(program: Command, act: Act): void {
  program.commandsGroup("See and stop:");
  defineLease(program.command("lease").description("Leases: what is outstanding, and for whom"), act);
  defineRevoke(program, act);
  defineLock(program.command("lock").description("Refuse new credentials"), act);
  defineAudit(program.command("audit").description("The record of everything that was asked and done"), act);
  defineHold(program.command("hold").description("Why nothing is issued after a store went back in time"), act);
  defineTarget(program.command("target").description("Places at which credentials are made: databases, hosts, services"), act);
  defineKeys(program.command("keys").description("The keys that sign tokens"), act);
  defineDoctor(program, act);
}

const paged = (command: Command): Command =>
  command.option("--limit <n>", "at most this many", "100").option("--cursor <cursor>", "go on after an earlier page");

function defineLease(lease: Command, act: Act): void {
  paged(readable(connected(lease.command("ls"))))
    .description("List leases")
    .option("--workload <workload>", "subject or display name")
    .option("--task <task>")
    .option("--grant <grant>")
    .option("--issuer <issuer>")
    .option("--trust <trust>")
    .addOption(new Option("--state <state>").choices([...LEASE_STATES]))
    .option("--credential <file>", "of the credential in this file; - is standard input")
    .option("--credential-sha256 <hex>", "of the credential with this SHA-256")
    .option("--expiring <span>", "only those that end within this time")
    .addHelpText("before", "  stint lease ls --workload github/acme/shop --state active\n  pbpaste | stint lease ls --credential -\n")
    .action(act(() => import("./lease-ls.ts")));
  readable(connected(lease.command("inspect")))
    .description("Show one lease")
    .argument("<lease>")
    .action(act(() => import("./lease-inspect.ts")));
  connected(lease.command("renew"))
    .description("Move a lease's end later; prints the new credential. Needs the task token")
    .argument("<lease>")
    .option("--ttl <span>")
    .option("--out <file>", "write it to this file, mode 0600")
    .option("--reveal", "print it on a terminal, too")
    .action(act(() => import("./lease-renew.ts")));
  connected(lease.command("revoke"))
    .description("End one lease: with an operator token, or as its holder with the task token")
    .argument("<lease>")
    .option("--reason <text>", "for the audit trail")
    .action(act(() => import("./lease-revoke.ts")));
  connected(lease.command("close"))
    .description("Give up on a lease whose target cannot be reached; it stays listed as forced")
    .argument("<lease>")
    .requiredOption("--reason <text>", "for the audit trail")
    .action(act(() => import("./lease-close.ts")));
}

function defineRevoke(program: Command, act: Act): void {
  connected(program.command("revoke"))
    .description("End many leases at once, and keep them from coming back")
    .option("--lease <lease>")
    .option("--task <task>")
    .option("--workload <workload>", "subject or display name")
    .option("--grant <grant>")
    .option("--issuer <issuer>")
    .option("--trust <trust>")
    .option("--credential <file>", "whose credential is in this file; - is standard input")
    .option("--credential-sha256 <hex>", "whose credential has this SHA-256")
    .option("--all", "every lease there is; needs --reason")
    .option("--lock <span>", "refuse new credentials to the same for this long")
    .option("--reason <text>", "for the audit trail")
    .option("--dry-run", "only show what would end")
    .option("--confirm <n>", "do it if exactly so many leases match (for scripts)")
    .option("--no-wait", "do not wait until targets have confirmed")
    .option("--json [members]", "the receipt as JSON")
    .addHelpText(
      "before",
      "  stint revoke --workload github/acme/shop --lock 24h --reason INC-412\n  stint revoke --credential leaked.txt --reason 'found in a log'\n  stint revoke --grant deploy-prod --confirm 37 --reason INC-412\n",
    )
    .addHelpText("after", "\nExit 10 means: some are not confirmed dead; until when each may live is printed.")
    .action(act(() => import("./revoke.ts")));
}

function defineLock(lock: Command, act: Act): void {
  readable(connected(lock.command("ls")))
    .description("List locks")
    .action(act(() => import("./lock-ls.ts")));
  connected(lock.command("add"))
    .description("Refuse new credentials to a workload, of a grant, from a trust or an issuer, or at all")
    .option("--workload <workload>")
    .option("--trust <trust>")
    .option("--grant <grant>")
    .option("--issuer <issuer>")
    .option("--all", "refuse everything")
    .requiredOption("--ttl <span>", "for how long")
    .requiredOption("--reason <text>", "for the audit trail")
    .option("--message <text>", "what refused callers are told")
    .addHelpText(
      "before",
      "  stint lock add --grant deploy-prod --ttl 2h --reason 'release freeze' --message 'frozen until the release is out'\n",
    )
    .action(act(() => import("./lock-add.ts")));
  connected(lock.command("rm"))
    .description("Remove a lock")
    .argument("<lock>")
    .action(act(() => import("./lock-rm.ts")));
}

function defineAudit(audit: Command, act: Act): void {
  const filtered = (command: Command): Command =>
    connected(command)
      .option("--since <when>", "a span back from now, or a time (RFC 3339)")
      .addOption(new Option("--decision <decision>").choices(["allow", "deny", "error"]))
      .addOption(new Option("--action <action>").choices([...AUDIT_ACTIONS]))
      .option("--code <code>", "of a refusal")
      .option("--workload <workload>")
      .option("--subject <subject>")
      .option("--principal <principal>", "who acted, for example operator:mara")
      .option("--grant <grant>")
      .option("--task <task>")
      .option("--lease <lease>")
      .option("--trace-id <id>");
  filtered(audit.command("tail"))
    .description("The latest records, oldest first")
    .option("-f, --follow", "go on with new ones as they come")
    .option("-n, --lines <n>", "how many to begin with", "20")
    .option("--json [members]", "one JSON object a line")
    .addHelpText("before", "  stint audit tail -f --decision deny\n")
    .action(act(() => import("./audit-tail.ts")));
  paged(readable(filtered(audit.command("query"))))
    .description("Search the records, newest first")
    .option("--until <time>", "RFC 3339")
    .addHelpText("before", "  stint audit query --since 24h --workload github/acme/shop --decision deny\n")
    .action(act(() => import("./audit-query.ts")));
  filtered(audit.command("export"))
    .description("All matching records, oldest first, one JSON object a line")
    .option("--until <time>", "RFC 3339")
    .addOption(new Option("--format <format>", "ocsf: as OCSF 1.8 events").choices(["stint", "ocsf"]).default("stint"))
    .option("--out <file>", "default: standard output")
    .action(act(() => import("./audit-export.ts")));
  audit
    .command("verify")
    .description("Check the chain, the sequences and the signed checkpoints of exported audit files")
    .argument("[directories...]", "default: $STINT_AUDIT_DIR; several where several brokers exported")
    .option("--key <file>", "keys that may sign checkpoints, kept apart from the records; may be repeated", several)
    .option("--checkpoint <file>", "a checkpoint kept elsewhere: shows an end that was cut off; may be repeated", several)
    .option("--json [members]", "the finding as JSON")
    .addHelpText(
      "after",
      "\nReads files only: no broker is asked. Exit 9 names the first record that was changed, is missing or stands in another order.",
    )
    .action(act(() => import("./audit-verify.ts")));
}

function defineHold(hold: Command, act: Act): void {
  readable(connected(hold.command("show")))
    .description("Whether the broker is on hold, since when and why")
    .action(act(() => import("./hold-show.ts")));
  connected(hold.command("clear"))
    .description("Issue again: you have seen what the store lost")
    .requiredOption("--reason <text>", "for the audit trail")
    .action(act(() => import("./hold-clear.ts")));
}

function defineKeys(keys: Command, act: Act): void {
  readable(connected(keys.command("ls")))
    .description("List signing keys")
    .action(act(() => import("./keys-ls.ts")));
  connected(keys.command("rotate"))
    .description("Announce the next key; it signs after verifiers have had time to fetch it")
    .option("--now", "sign with the announced key at once")
    .action(act(() => import("./keys-rotate.ts")));
  connected(keys.command("withdraw"))
    .description("A leaked key: out of the published set at once, and everything it signed is revoked")
    .argument("<kid>")
    .requiredOption("--reason <text>", "for the audit trail")
    .action(act(() => import("./keys-withdraw.ts")));
  connected(keys.command("reseal"))
    .description("Seal the private keys anew under the first master key, after brokers were given a new one")
    .action(act(() => import("./keys-reseal.ts")));
}

function defineTarget(target: Command, act: Act): void {
  readable(connected(target.command("ls")))
    .description("List targets: how each stands, and what waits there")
    .action(act(() => import("./target-ls.ts")));
  readable(connected(target.command("reconcile")))
    .description("Compare a target with the leases and end what nobody wants; lifts a hold once every target is done")
    .argument("<target>")
    .option("--dry-run", "only say what would be done")
    .option("--reason <text>", "for the audit trail")
    .action(act(() => import("./target-reconcile.ts")));
  connected(target.command("rotate"))
    .description("Change the broker's own password or key at a target")
    .argument("<target>")
    .option("--reason <text>", "for the audit trail")
    .action(act(() => import("./target-rotate.ts")));
}
