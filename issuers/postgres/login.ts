import { Client, type ClientConfig } from "pg";
import { PermanentFailure } from "../../domain/credential.ts";
import type { TargetPorts } from "../../domain/target.ts";
import type { Account } from "./account.ts";
import { destroy, type Connect } from "./connections.ts";
import { sqlStateOf } from "./failures.ts";
import { msOf, placeOf, tlsModeOf, type PostgresSettings } from "./settings.ts";

const CONNECT_MS = 5_000;
/** A server that hangs ends no statement by its own clock; then ours does, a little later. */
const HANG_MS = 2_000;

/**
 * Connects as the broker's role. Every statement has a time limit at the server and one here; nothing is looked up in a schema that
 * others may write to; and no password is shown to a server that has not proven who it is: SCRAM or nothing.
 */
export function connector(settings: PostgresSettings, account: Account, ports: Ports): Connect {
  return async (database, signal) => {
    const ssl = await tlsOptions(settings, ports);
    const candidates = await account.candidates();
    let refused: unknown;
    for (const password of candidates) {
      try {
        const client = await open(settings, { database, ssl, password, signal });
        account.worked(password);
        return client;
      } catch (error) {
        // another of our passwords may be the one; any other trouble would be the same with each
        if (!/^28(?:P01|000)$/.test(sqlStateOf(error) ?? "")) throw error;
        refused = error;
      }
    }
    throw refused;
  };
}

/** Connects with exactly this password, to see whether it works. */
export async function tryPassword(settings: PostgresSettings, ports: Ports, password: string, signal: AbortSignal): Promise<void> {
  const client = await open(settings, { database: settings.database, ssl: await tlsOptions(settings, ports), password, signal });
  destroy(client);
}

type Ports = Pick<TargetPorts, "secret">;

interface Opening {
  readonly database: string;
  readonly ssl: NonNullable<ClientConfig["ssl"]>;
  readonly password: string | undefined;
  readonly signal: AbortSignal;
}

async function open(settings: PostgresSettings, { database, ssl, password, signal }: Opening): Promise<Client> {
  const statementMs = msOf(settings.statement_timeout);
  let revealing = false;
  const client = new Client({
    ...placeOf(settings),
    database,
    user: settings.user,
    // asked for only when the server wants one
    password: () => {
      if (revealing)
        throw new PermanentFailure(
          "the server wants our password in clear or as MD5 on a connection that does not prove whose it is; use scram-sha-256 in its pg_hba.conf, or TLS",
        );
      if (password === undefined) throw new PermanentFailure("the server wants a password: set the target's `password`");
      return password;
    },
    ssl,
    sslnegotiation: "postgres",
    // with its name checked there is nobody in between; without, whoever has a certificate of the same authority may not pass our proof on
    enableChannelBinding: tlsModeOf(settings) === "verify-ca",
    application_name: "stint",
    client_encoding: "UTF8",
    // DateStyle and the like as we write them, whatever the role or the database has set
    options:
      "-c search_path=pg_catalog,pg_temp -c datestyle=ISO -c timezone=UTC -c standard_conforming_strings=on -c client_min_messages=warning",
    statement_timeout: statementMs,
    lock_timeout: msOf(settings.lock_timeout),
    idle_in_transaction_session_timeout: statementMs,
    query_timeout: statementMs + HANG_MS,
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  });
  const proven = typeof ssl === "object" || placeOf(settings).host.startsWith("/");
  for (const asked of ["authenticationCleartextPassword", "authenticationMD5Password"])
    client.connection.on(asked, () => void (revealing = !proven));
  // an idle connection that breaks is forgotten (`end`); this keeps Node from taking it for an unhandled error
  client.on("error", () => undefined);
  const cut = (): void => destroy(client);
  signal.addEventListener("abort", cut);
  try {
    await client.connect();
    return client;
  } catch (error) {
    cut();
    throw error;
  } finally {
    signal.removeEventListener("abort", cut);
  }
}

async function tlsOptions(settings: PostgresSettings, ports: Ports): Promise<NonNullable<ClientConfig["ssl"]>> {
  const mode = tlsModeOf(settings);
  if (mode === "disable") return false;
  const file = settings.tls.ca_file;
  const ca = file === undefined ? undefined : (await ports.secret(`file:${file}`)).reveal();
  return {
    rejectUnauthorized: true,
    minVersion: "TLSv1.2",
    ...(ca === undefined ? {} : { ca }),
    // the certificate is from an authority we believe, whatever name it is for
    ...(mode === "verify-ca" ? { checkServerIdentity: () => undefined } : {}),
  };
}
