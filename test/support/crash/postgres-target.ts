import type { LeaseId } from "../../../domain/ids.ts";
import type { Issuer } from "../../../domain/credential.ts";
import type { OpenTarget, TargetPorts } from "../../../domain/target.ts";
import { postgresKind } from "../../../issuers/postgres/kind.ts";
import { markOf } from "../../../issuers/postgres/names.ts";
import type { PostgresSettings } from "../../../issuers/postgres/settings.ts";
import { eventually } from "../events.ts";
import { BROKER_PASSWORD, startPostgresTarget } from "../postgres-target.ts";
import { startPostgresWire } from "./postgres-wire.ts";
import type { CrashTarget, Held, Stage, Verb, Wire } from "./target.ts";

const STATEMENT: Readonly<Record<Verb, string>> = { issue: 'CREATE ROLE "lease_', revoke: 'DROP ROLE IF EXISTS "lease_' };
/** Whoever holds this keeps every issuing transaction in its middle, with its row of the fence written and not committed. */
const IN_THE_MIDDLE = 7_700_001;

/** A real Postgres, with the fence and all. */
export async function postgresCrashTarget(): Promise<CrashTarget> {
  const { server, ...prepared } = await startPostgresTarget({}, { settings: { log_statement: "none", max_connections: "100" } });
  const stint = { username: "stint", password: BROKER_PASSWORD, database: "app" };
  let trapped = false;

  /** The fence's table is made by the first broker that uses it; the trap is the test's. */
  async function trap(): Promise<void> {
    if (trapped) return;
    trapped = true;
    await server.sql(
      `CREATE FUNCTION public.stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF NEW.ended_at IS NULL THEN PERFORM pg_catalog.pg_advisory_xact_lock_shared(${IN_THE_MIDDLE}); END IF; RETURN NULL; END $$;
       GRANT EXECUTE ON FUNCTION public.stay() TO PUBLIC;
       CREATE TRIGGER stay AFTER INSERT ON stint.fence FOR EACH ROW EXECUTE FUNCTION public.stay()`,
      "app",
    );
  }
  const waitingInTheMiddle = async (): Promise<readonly number[]> =>
    (await server.sql("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", "app")).map(({ pid }) => Number(pid));

  /** The statement arrives over another connection, as a copy of the first would. */
  async function repeat(text: string): Promise<void> {
    const client = await server.client(stint);
    await client.query(text).catch(() => undefined);
    await client.end();
  }

  async function connect(): Promise<Wire> {
    const wire = await startPostgresWire(server.port);
    const holdAt = (verb: Verb, at: "statement" | "answer"): Held => {
      const held = wire.hold(STATEMENT[verb], at);
      return { ...held, refuse: async () => held.refuse(), again: () => repeat(held.text()) };
    };
    /** In the middle of the transaction that makes the role. */
    const holdInTheMiddle = async (): Promise<Held> => {
      await trap();
      const locker = await server.client(stint);
      await locker.query(`SELECT pg_advisory_lock(${IN_THE_MIDDLE})`);
      const passing = wire.note(STATEMENT.issue);
      const reached = (async () => {
        await passing.reached;
        await eventually("the statement waits in its middle", async () => (await waitingInTheMiddle()).length > 0);
      })();
      const deliver = (): void => void locker.end().catch(() => undefined);
      return {
        reached,
        deliver,
        cut: () => passing.cut(),
        async refuse() {
          for (const pid of await waitingInTheMiddle()) await server.sql(`SELECT pg_cancel_backend(${pid})`, "app");
          deliver();
        },
        again: () => repeat(passing.text()),
      };
    };
    return {
      kind: { ...postgresKind, open: (target, ports) => through(wire.port, target as OpenTarget<PostgresSettings>, ports) },
      documents: `issuer: postgres\naddress: 127.0.0.1:${server.port}\ndatabase: app\nuser: stint\npassword: env:CRASH_DB_PASSWORD\nroles: [app_read]`,
      async hold(verb: Verb, stage: Stage) {
        if (verb === "issue" && stage === "executing") return holdInTheMiddle();
        // Ending takes several statements: its middle is where the login is gone, and the role not yet.
        return holdAt(verb, stage === "committed" ? "answer" : "statement");
      },
      die: () => wire.die(),
      [Symbol.asyncDispose]: () => wire[Symbol.asyncDispose](),
    };
  }

  const alive = async (): Promise<readonly LeaseId[]> =>
    (await server.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'lease\\_%'")).map(({ rolname }) => String(rolname) as LeaseId);
  return {
    variables: { CRASH_DB_PASSWORD: BROKER_PASSWORD },
    connect,
    alive,
    async opens(credential) {
      const login = { username: String(credential["username"]), password: String(credential["password"]), database: "app" };
      return (await server.psql(login, "SELECT count(*) FROM app.orders")).stdout === "2";
    },
    contended: async () =>
      (await server.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event <> 'advisory'")).length > 0,
    leave: async (lease, url) => {
      await server.sql(
        `CREATE ROLE ${lease} LOGIN IN ROLE app_read; GRANT ${lease} TO stint; COMMENT ON ROLE ${lease} IS '${markOf(url)}${lease}'`,
      );
    },
    async [Symbol.asyncDispose]() {
      await prepared[Symbol.asyncDispose]();
    },
  };
}

/** The same place for everybody, reached over this wire. */
function through(port: number, target: OpenTarget<PostgresSettings>, ports: TargetPorts): Issuer {
  const direct = postgresKind.open(target, ports);
  const wired = postgresKind.open({ ...target, settings: { ...target.settings, address: `127.0.0.1:${port}` } }, ports);
  return { ...wired, place: direct.place } as Issuer;
}
