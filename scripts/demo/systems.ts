import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { setupSql } from "../../issuers/postgres/fence.ts";
import { scramVerifier } from "../../issuers/postgres/scram.ts";
import { PostgresSettings } from "../../issuers/postgres/settings.ts";
import { ensurePostgres } from "../../test/support/postgres-programs.ts";
import { startPostgres, type PsqlAnswer, type TestPostgres } from "../../test/support/postgres.ts";
import { ensureSsh, findSsh, type SshPrograms } from "../../test/support/ssh-programs.ts";
import { startSshd, type Sshd } from "../../test/support/sshd.ts";

/** A database and a host of the ledger's, real ones on loopback. */
export interface Systems extends AsyncDisposable {
  readonly postgres: TestPostgres;
  readonly sshd: Sshd;
  readonly ssh: SshPrograms;
  /** Targets and grants that make credentials for both. */
  readonly documents: string;
  /** Writes what the documents refer to beside them. */
  prepare(folder: string): Promise<void>;
  /** Tries a statement as the broker's own user, with the password that the broker was given first. */
  asBroker(statement: string): Promise<PsqlAnswer>;
  /** Begins what a timer does on every host: reads the CA's key and the list of the revoked, again and again. */
  follow(url: string): void;
}

/** How often the host reads the list. */
export const READ_EVERY_MS = 500;

/** Finds both, or fetches them without root. Throws where neither works, and says what is missing. */
export async function startSystems(say: (text: string) => void): Promise<Systems> {
  await ensurePostgres(say);
  await ensureSsh(say);
  const ssh = await findSsh();
  if (ssh === undefined) throw new Error("the second act needs OpenSSH: apt-get install openssh-server openssh-client");
  const postgres = await startPostgres();
  const sshd = await startSshd(ssh, { ca: "", krl: new Uint8Array(), principals: ["deploy"] });
  const password = randomBytes(24).toString("base64url");
  const settings = {
    address: `127.0.0.1:${postgres.port}`,
    database: "ledger",
    user: "stint",
    password: "file:ledger-db.password",
    roles: ["reader"],
  };
  await postgres.sql("CREATE DATABASE ledger");
  await postgres.sql(
    "CREATE ROLE reader NOLOGIN; CREATE TABLE booking (amount int); INSERT INTO booking VALUES (10), (32); GRANT SELECT ON booking TO reader;",
    "ledger",
  );
  await postgres.sql(setupSql(PostgresSettings.parse(settings)), "ledger");
  await postgres.sql(`ALTER ROLE stint PASSWORD '${await scramVerifier(password)}'`);
  let following = true;
  return {
    postgres,
    sshd,
    ssh,
    documents: documents(settings, sshd),
    asBroker: (statement) => postgres.psql({ username: "stint", password, database: "ledger" }, statement),
    prepare: (folder) => writeFile(join(folder, "ledger-db.password"), password, { mode: 0o600 }),
    follow(url) {
      void (async () => {
        while (following) {
          for (const name of ["ca.pub", "krl"] as const) {
            const answer = await fetch(`${url}/targets/ledger-hosts/${name}`).catch(() => undefined);
            // what cannot be read leaves the file as it was: without a list sshd lets nobody in
            if (answer?.ok === true) await sshd.put(name, new Uint8Array(await answer.arrayBuffer())).catch(() => undefined);
          }
          await pause(READ_EVERY_MS);
        }
      })();
    },
    async [Symbol.asyncDispose]() {
      following = false;
      await sshd[Symbol.asyncDispose]();
      await postgres.stop();
    },
  };
}

const documents = (database: Readonly<Record<string, unknown>>, sshd: Sshd): string => `
---
kind: Target
name: ledger-db
owner: team-ledger
issuer: postgres
rotate: 30d
${Object.entries(database)
  .map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
  .join("\n")}
---
kind: Target
name: ledger-hosts
owner: team-ledger
issuer: ssh
list_read_every: 1s
host: ${sshd.host}
port: ${sshd.port}
user: ${sshd.user}
known_hosts: [${JSON.stringify(sshd.knownHost)}]
---
kind: Grant
name: bookings
owner: team-ledger
description: Read the bookings
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: "777888", ref: refs/heads/main } }
issue: { target: ledger-db, role: reader, ttl: 10m }
---
kind: Grant
name: hosts
owner: team-ledger
description: Log in to the ledger's hosts
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: "777888", ref: refs/heads/main } }
issue: { target: ledger-hosts, principals: [deploy], ttl: 10m }
`;
